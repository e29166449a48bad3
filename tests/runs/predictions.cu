// Kernels of a textbook (Kirk, Hwu, El Hajj: Programming Massively Parallel Processors), written from its description.

__device__ __forceinline__ float clamp(float x) { return min(max(x, 0.0), 1.0); }  // the literals are doubles

extern "C" __global__ void add_coalesced(const int *a, const int *b, int *c, int n) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < n && y < n) c[y * n + x] = a[y * n + x] + b[y * n + x];
}

extern "C" __global__ void add_by_columns(const int *a, const int *b, int *c, int n) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < n && y < n) c[x * n + y] = a[x * n + y] + b[x * n + y];
}

extern "C" __global__ void greyscale(const unsigned char *rgb, unsigned char *grey, int n) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x < n && y < n) {
        int at = y * n + x;
        grey[at] = (unsigned char)(0.21f * rgb[3 * at] + 0.72f * rgb[3 * at + 1] + 0.07f * rgb[3 * at + 2]);
    }
}

extern "C" __global__ void matrix_vector(const int *a, const int *x, int *y, int rows, int columns) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row < rows) {
        int total = 0;
        for (int k = 0; k < columns; ++k) total += a[row * columns + k] * x[k];
        y[row] = total;
    }
}

extern "C" __global__ void matrix_product(const int *a, const int *b, int *c, int n) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row < n && column < n) {
        int total = 0;
        for (int k = 0; k < n; ++k) total += a[row * n + k] * b[k * n + column];
        c[row * n + column] = total;
    }
}

template <typename T, int TILE> __device__ void by_tiles(const T *a, const T *b, T *c, int n) {
    __shared__ T left[TILE][TILE], right[TILE][TILE];
    int x = threadIdx.x, y = threadIdx.y, column = blockIdx.x * TILE + x, row = blockIdx.y * TILE + y;
    T total = 0;
    for (int first = 0; first < n; first += TILE) {
        left[y][x] = a[row * n + first + x];
        right[y][x] = b[(first + y) * n + column];
        __syncthreads();
        for (int k = 0; k < TILE; ++k) total += left[y][k] * right[k][x];
        __syncthreads();
    }
    c[row * n + column] = total;
}

extern "C" __global__ void matrix_product_tiles_16(const int *a, const int *b, int *c, int n) {
    by_tiles<int, 16>(a, b, c, n);
}

extern "C" __global__ void matrix_product_tiles_32(const int *a, const int *b, int *c, int n) {
    by_tiles<int, 32>(a, b, c, n);
}

extern "C" __global__ void convolution_1d(const float *x, const float *mask, float *y, int n, int width) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float total = 0.0f;
    int first = i - width / 2;
    for (int k = 0; k < width; ++k)
        if (first + k >= 0 && first + k < n) total += x[first + k] * mask[k];
    if (i < n) y[i] = clamp(total);
}

extern "C" __global__ void convolution_2d(const float *x, const float *mask, float *y, int n, int width) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= n || row >= n) return;
    float total = 0.0f;
    for (int r = 0; r < width; ++r)
        for (int s = 0; s < width; ++s) {
            int h = row - width / 2 + r, w = column - width / 2 + s;
            if (h >= 0 && h < n && w >= 0 && w < n) total += x[h * n + w] * mask[r * width + s];
        }
    y[row * n + column] = clamp(total);
}

__constant__ float constant_mask[1024];

extern "C" __global__ void convolution_1d_constant(const float *x, float *y, int n, int width) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float total = 0.0f;
    int first = i - width / 2;
    for (int k = 0; k < width; ++k)
        if (first + k >= 0 && first + k < n) total += x[first + k] * constant_mask[k];
    if (i < n) y[i] = clamp(total);
}

extern "C" __global__ void convolution_2d_constant(const float *x, float *y, int n, int width) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= n || row >= n) return;
    float total = 0.0f;
    for (int r = 0; r < width; ++r)
        for (int s = 0; s < width; ++s) {
            int h = row - width / 2 + r, w = column - width / 2 + s;
            if (h >= 0 && h < n && w >= 0 && w < n) total += x[h * n + w] * constant_mask[r * width + s];
        }
    y[row * n + column] = clamp(total);
}

extern "C" __global__ void convolution_1d_tiled(const float *x, float *y, int n, int width) {
    __shared__ float tile[2048];
    int i = blockIdx.x * blockDim.x + threadIdx.x, halo = width / 2, t = threadIdx.x, size = blockDim.x;
    int left = i - size, right = i + size;
    if (t >= size - halo) tile[t - (size - halo)] = left < 0 ? 0.0f : x[left];
    tile[halo + t] = i < n ? x[i] : 0.0f;
    if (t < halo) tile[t + size + halo] = right >= n ? 0.0f : x[right];
    __syncthreads();
    float total = 0.0f;
    for (int k = 0; k < width; ++k) total += tile[t + k] * constant_mask[k];
    if (i < n) y[i] = clamp(total);
}

extern "C" __global__ void convolution_1d_tiled_and_cached(const float *x, float *y, int n, int width) {
    __shared__ float tile[1024];
    int t = threadIdx.x, begin = blockIdx.x * blockDim.x, end = begin + blockDim.x, i = begin + t;
    tile[t] = i < n ? x[i] : 0.0f;
    __syncthreads();
    int first = i - width / 2;
    float total = 0.0f;
    for (int k = 0; k < width; ++k) {
        int at = first + k;
        if (at >= 0 && at < n) {
            if (at >= begin && at < end) total += tile[at - begin] * constant_mask[k];
            else total += x[at] * constant_mask[k];
        }
    }
    if (i < n) y[i] = clamp(total);
}

// Reductions: the steps of a well-known talk. Each block writes one sum; later launches for these sums are left out.

extern "C" __global__ void reduction_simple(const int *x, int *y) {
    __shared__ int sums[1024];
    int t = threadIdx.x;
    sums[t] = x[blockIdx.x * blockDim.x + t];
    __syncthreads();
    for (int s = 1; s < blockDim.x; s *= 2) {
        if (t % (2 * s) == 0) sums[t] += sums[t + s];
        __syncthreads();
    }
    if (t == 0) y[blockIdx.x] = sums[0];
}

extern "C" __global__ void reduction_adjacent(const int *x, int *y) {
    __shared__ int sums[1024];
    int t = threadIdx.x;
    sums[t] = x[blockIdx.x * blockDim.x + t];
    __syncthreads();
    for (int s = 1; s < blockDim.x; s *= 2) {
        int at = 2 * s * t;
        if (at < blockDim.x) sums[at] += sums[at + s];
        __syncthreads();
    }
    if (t == 0) y[blockIdx.x] = sums[0];
}

template <int LOADS, int LAST> __device__ void reduction(const int *x, int *y) {
    __shared__ int sums[1024];
    int t = threadIdx.x, i = blockIdx.x * blockDim.x * LOADS + t;
    sums[t] = LOADS == 2 ? x[i] + x[i + blockDim.x] : x[i];
    __syncthreads();
    for (int s = blockDim.x / 2; s > LAST; s >>= 1) {
        if (t < s) sums[t] += sums[t + s];
        __syncthreads();
    }
    if (LAST && t < 32) {
        volatile int *own = sums;
        for (int s = 32; s > 0; s >>= 1) own[t] += own[t + s];
    }
    if (t == 0) y[blockIdx.x] = sums[0];
}

extern "C" __global__ void reduction_sequential(const int *x, int *y) { reduction<1, 0>(x, y); }

extern "C" __global__ void reduction_two_loads(const int *x, int *y) { reduction<2, 0>(x, y); }

extern "C" __global__ void reduction_last_warp(const int *x, int *y) { reduction<2, 32>(x, y); }

// The steps of a well-known series on SGEMM.

extern "C" __global__ void sgemm_uncoalesced(const float *a, const float *b, float *c, int n) {
    int row = blockIdx.x * 32 + threadIdx.x, column = blockIdx.y * 32 + threadIdx.y;
    float total = 0.0f;
    for (int k = 0; k < n; ++k) total += a[row * n + k] * b[k * n + column];
    c[row * n + column] = total;
}

extern "C" __global__ void sgemm_coalesced(const float *a, const float *b, float *c, int n) {
    int row = blockIdx.x * 32 + threadIdx.x / 32, column = blockIdx.y * 32 + threadIdx.x % 32;
    float total = 0.0f;
    for (int k = 0; k < n; ++k) total += a[row * n + k] * b[k * n + column];
    c[row * n + column] = total;
}

extern "C" __global__ void sgemm_tiles(const float *a, const float *b, float *c, int n) {
    by_tiles<float, 32>(a, b, c, n);
}

// Tiles in shared memory and in registers: a thread has ROWS by COLUMNS results of a tile of M by N, K products deep.
template <int M, int N, int K, int ROWS, int COLUMNS>
__device__ void register_tiles(const float *a, const float *b, float *c, int n) {
    __shared__ float left[M * K], right[K * N];
    const int threads = M * N / (ROWS * COLUMNS);
    int x = threadIdx.x % (N / COLUMNS), y = threadIdx.x / (N / COLUMNS);
    a += blockIdx.y * M * n, b += blockIdx.x * N, c += blockIdx.y * M * n + blockIdx.x * N;
    float total[ROWS][COLUMNS] = {};
    for (int first = 0; first < n; first += K) {
        for (int at = threadIdx.x; at < M * K; at += threads) left[at] = a[at / K * n + first + at % K];
        for (int at = threadIdx.x; at < K * N; at += threads) right[at] = b[(first + at / N) * n + at % N];
        __syncthreads();
        for (int k = 0; k < K; ++k) {
            float rows[ROWS], columns[COLUMNS];
            for (int i = 0; i < ROWS; ++i) rows[i] = left[(y * ROWS + i) * K + k];
            for (int j = 0; j < COLUMNS; ++j) columns[j] = right[k * N + x * COLUMNS + j];
            for (int i = 0; i < ROWS; ++i)
                for (int j = 0; j < COLUMNS; ++j) total[i][j] += rows[i] * columns[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < COLUMNS; ++j) c[(y * ROWS + i) * n + x * COLUMNS + j] = total[i][j];
}

extern "C" __global__ void sgemm_registers_1d(const float *a, const float *b, float *c, int n) {
    register_tiles<64, 64, 8, 8, 1>(a, b, c, n);
}

extern "C" __global__ void __launch_bounds__(256) sgemm_registers_2d(const float *a, const float *b, float *c, int n) {
    register_tiles<128, 128, 8, 8, 8>(a, b, c, n);
}
