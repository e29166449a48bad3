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

// The width of a tile is that of the block, so the compiler does not know it.
extern "C" __global__ void matrix_product_tiles(const int *a, const int *b, int *c, int n) {
    extern __shared__ int tiles[];
    int width = blockDim.x, x = threadIdx.x, y = threadIdx.y;
    int *left = tiles, *right = tiles + width * width;
    int column = blockIdx.x * width + x, row = blockIdx.y * width + y, total = 0;
    for (int part = 0; part < (n + width - 1) / width; ++part) {
        int first = part * width;
        left[y * width + x] = row < n && first + x < n ? a[row * n + first + x] : 0;
        right[y * width + x] = first + y < n && column < n ? b[(first + y) * n + column] : 0;
        __syncthreads();
        for (int k = 0; k < width; ++k) total += left[y * width + k] * right[k * width + x];
        __syncthreads();
    }
    if (row < n && column < n) c[row * n + column] = total;
}

// Two tiles of results side by side for each block. In shared memory, the second half of a row is the row below, as it is
// in the published kernel. So the compiler loads a word once for both halves.
extern "C" __global__ void matrix_product_wide_tiles(const int *a, const int *b, int *c, int n) {
    extern __shared__ int tiles[];
    int width = blockDim.x, x = threadIdx.x, y = threadIdx.y;
    int *left = tiles, *right = tiles + width * width;
    int column = blockIdx.x * 2 * width + x, row = blockIdx.y * width + y, total = 0, other = 0;
    for (int part = 0; part < (n + width - 1) / width; ++part) {
        int first = part * width;
        left[y * width + x] = row < n && first + x < n ? a[row * n + first + x] : 0;
        for (int half = 0; half < 2; ++half) {
            int at = column + half * width;
            right[(y + half) * width + x] = first + y < n && at < n ? b[(first + y) * n + at] : 0;
        }
        __syncthreads();
        for (int k = 0; k < width; ++k) {
            total += left[y * width + k] * right[k * width + x];
            other += left[y * width + k] * right[(k + 1) * width + x];
        }
        __syncthreads();
    }
    if (row < n && column < n) c[row * n + column] = total;
    if (row < n && column + width < n) c[row * n + column + width] = other;
}

extern "C" __global__ void convolution_1d(const float *x, const float *mask, float *y, int n, int width) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    float total = 0.0f;
    int first = i - width / 2;
    for (int k = 0; k < width; ++k)
        if (first + k >= 0 && first + k < n) total += x[first + k] * mask[k];
    if (i < n) y[i] = clamp(total);
}

extern "C" __global__ void convolution_2d(const float *x, const float *mask, float *y, int n, int width, int channels) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= n || row >= n) return;
    for (int c = 0; c < channels; ++c) {
        float total = 0.0f;
        for (int r = 0; r < width; ++r)
            for (int s = 0; s < width; ++s) {
                int h = row - width / 2 + r, w = column - width / 2 + s;
                if (h >= 0 && h < n && w >= 0 && w < n)
                    total += x[(h * n + w) * channels + c] * mask[r * width + s];
            }
        y[(row * n + column) * channels + c] = clamp(total);
    }
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

extern "C" __global__ void convolution_2d_constant(const float *x, float *y, int n, int width, int channels) {
    int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
    if (column >= n || row >= n) return;
    for (int c = 0; c < channels; ++c) {
        float total = 0.0f;
        for (int r = 0; r < width; ++r)
            for (int s = 0; s < width; ++s) {
                int h = row - width / 2 + r, w = column - width / 2 + s;
                if (h >= 0 && h < n && w >= 0 && w < n)
                    total += x[(h * n + w) * channels + c] * constant_mask[r * width + s];
            }
        y[(row * n + column) * channels + c] = clamp(total);
    }
}

// The block is as large as its tile of the input, so its outer threads have no result.
extern "C" __global__ void convolution_2d_tiled(const float *x, float *y, int n, int width, int channels) {
    extern __shared__ float window[];
    int tx = threadIdx.x, ty = threadIdx.y, size = blockDim.x, results = size - width + 1;
    int row = blockIdx.y * results + ty, column = blockIdx.x * results + tx;
    int h = row - width / 2, w = column - width / 2;
    for (int c = 0; c < channels; ++c) {
        window[ty * size + tx] = h >= 0 && h < n && w >= 0 && w < n ? x[(h * n + w) * channels + c] : 0.0f;
        __syncthreads();
        if (ty < results && tx < results && row < n && column < n) {
            float total = 0.0f;
            for (int r = 0; r < width; ++r)
                for (int s = 0; s < width; ++s)
                    total += window[(ty + r) * size + tx + s] * constant_mask[r * width + s];
            y[(row * n + column) * channels + c] = clamp(total);
        }
        __syncthreads();
    }
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

// Reductions: the steps of a well-known talk. Each block writes one sum, and further launches add these.

extern "C" __global__ void reduction_simple(const int *x, int *y, unsigned n) {
    __shared__ int sums[1024];
    unsigned t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    sums[t] = i < n ? x[i] : 0;
    __syncthreads();
    for (unsigned s = 1; s < blockDim.x; s *= 2) {
        if (t % (2 * s) == 0) sums[t] += t + s < n ? sums[t + s] : 0;
        __syncthreads();
    }
    if (t == 0) y[blockIdx.x] = sums[0];
}

extern "C" __global__ void reduction_adjacent(const int *x, int *y, unsigned n) {
    __shared__ int sums[1024];
    unsigned t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    sums[t] = i < n ? x[i] : 0;
    __syncthreads();
    for (unsigned s = 1; s < blockDim.x; s *= 2) {
        unsigned at = 2 * s * t;
        if (at < blockDim.x) sums[at] += at + s < n ? sums[at + s] : 0;
        __syncthreads();
    }
    if (t == 0) y[blockIdx.x] = sums[0];
}

// The lanes of a warp are taken to be in step, as the talk does. Volta and later GPUs do not promise that.
__device__ __forceinline__ void sum_of_warp(volatile int *sums, unsigned t) {
    for (unsigned s = 32; s > 0; s /= 2) sums[t] += sums[t + s];
}

// The second load of a thread is added to what the first one has put into shared memory.
template <int LOADS, int LAST> __device__ void reduction(const int *x, int *y, unsigned n) {
    __shared__ int sums[1024];
    unsigned t = threadIdx.x, i = blockIdx.x * blockDim.x * LOADS + t;
    sums[t] = i < n ? x[i] : 0;
    if (LOADS == 2) sums[t] += i + blockDim.x < n ? x[i + blockDim.x] : 0;
    __syncthreads();
    for (unsigned s = blockDim.x / 2; s > LAST; s /= 2) {
        if (t < s) sums[t] += sums[t + s];
        __syncthreads();
    }
    if (LAST && t < 32) sum_of_warp(sums, t);
    if (t == 0) y[blockIdx.x] = sums[0];
}

extern "C" __global__ void reduction_sequential(const int *x, int *y, unsigned n) { reduction<1, 0>(x, y, n); }

extern "C" __global__ void reduction_two_loads(const int *x, int *y, unsigned n) { reduction<2, 0>(x, y, n); }

extern "C" __global__ void reduction_last_warp(const int *x, int *y, unsigned n) { reduction<2, 32>(x, y, n); }

template <bool IS_LOOP> __device__ void unrolled(const int *x, int *y, unsigned n) {
    __shared__ int sums[1024];
    unsigned t = threadIdx.x, size = blockDim.x, i = blockIdx.x * size * 2 + t;
    if (IS_LOOP) {
        sums[t] = 0;
        for (; i < n; i += gridDim.x * size * 2) {
            sums[t] += x[i];
            sums[t] += i + size < n ? x[i + size] : 0;
        }
    } else {
        sums[t] = i < n ? x[i] : 0;
        sums[t] += i + size < n ? x[i + size] : 0;
    }
    __syncthreads();
    if (size >= 512 && t < 256) sums[t] += sums[t + 256];
    __syncthreads();
    if (size >= 256 && t < 128) sums[t] += sums[t + 128];
    __syncthreads();
    if (size >= 128 && t < 64) sums[t] += sums[t + 64];
    __syncthreads();
    if (t < 32) sum_of_warp(sums, t);
    if (t == 0) y[blockIdx.x] = sums[0];
}

extern "C" __global__ void reduction_unrolled(const int *x, int *y, unsigned n) { unrolled<false>(x, y, n); }

extern "C" __global__ void reduction_many_loads(const int *x, int *y, unsigned n) { unrolled<true>(x, y, n); }

// Histograms of words that are the numbers of bins, in one array or first in one for each block.

extern "C" __global__ void histogram(const unsigned *x, unsigned *bins, unsigned n, unsigned count) {
    unsigned first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
    for (unsigned bin = first; bin < count; bin += step) bins[bin] = 0;
    __syncthreads();
    for (unsigned i = first; i < n; i += step) atomicAdd(&bins[x[i]], 1);
}

extern "C" __global__ void histogram_of_blocks(const unsigned *x, unsigned *bins, unsigned n, unsigned count) {
    extern __shared__ unsigned own[];
    for (unsigned bin = threadIdx.x; bin < count; bin += blockDim.x) own[bin] = 0;
    __syncthreads();
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&own[x[i]], 1);
    __syncthreads();
    for (unsigned bin = threadIdx.x; bin < count; bin += blockDim.x) atomicAdd(&bins[bin], own[bin]);
}

// Scans: each block scans its part and writes its sum, the sums are scanned, and then added to the parts behind them.

extern "C" __global__ void scan_kogge_stone(const int *x, int *y, int *sums, int n) {
    extern __shared__ int part[];
    int t = threadIdx.x, size = blockDim.x, i = blockIdx.x * size + t;
    if (i < n) part[t] = x[i];
    __syncthreads();
    for (int s = 1; s < size; s *= 2) {
        if (t >= s) part[size + t] = part[t] + part[t - s];
        __syncthreads();
        if (t >= s) part[t] = part[size + t];
        __syncthreads();
    }
    if (i < n) y[i] = part[t];
    if (sums && t == size - 1) sums[blockIdx.x] = part[t];
}

extern "C" __global__ void scan_brent_kung(const int *x, int *y, int *sums, int n) {
    extern __shared__ int part[];
    int t = threadIdx.x, size = blockDim.x, i = blockIdx.x * size * 2 + t;
    part[t] = i < n ? x[i] : 0;
    part[t + size] = i + size < n ? x[i + size] : 0;
    __syncthreads();
    for (int s = 1; s <= size; s *= 2) {
        int at = (t + 1) * s * 2 - 1;
        if (at < 2 * size) part[at] += part[at - s];
        __syncthreads();
    }
    for (int s = size / 2; s > 0; s /= 2) {
        int at = (t + 1) * s * 2 - 1;
        if (at + s < 2 * size) part[at + s] += part[at];
        __syncthreads();
    }
    if (i < n) y[i] = part[t];
    if (i + size < n) y[i + size] = part[t + size];
    if (sums && t == size - 1) sums[blockIdx.x] = part[2 * size - 1];
}

extern "C" __global__ void scan_three_phases(const int *x, int *y, int *sums, int n, int length) {
    extern __shared__ int part[];
    int t = threadIdx.x, threads = blockDim.x, begin = blockIdx.x * length, size = length / threads;
    for (int j = t; j < length; j += threads) part[j] = begin + j < n ? x[begin + j] : 0;
    __syncthreads();
    int first = size * t, total = 0;
    if (begin + first < n)
        for (int i = first; i < first + size; ++i) part[i] = total += part[i];
    __syncthreads();
    for (int s = 1; s <= threads; s *= 2) {
        __syncthreads();
        int at = (t + 1) * s * 2 * size - 1;
        if (at < length) part[at] += part[at - s * size];
    }
    for (int s = length / 4; s >= size; s /= 2) {
        __syncthreads();
        int at = (t + 1) * s * 2 - 1;
        if (at + s < length) part[at + s] += part[at];
    }
    __syncthreads();
    if (t) {
        int before = part[first - 1];
        for (int i = first; i < first + size - 1; ++i) part[i] += before;
    }
    __syncthreads();
    for (int j = t; j < length; j += threads)
        if (begin + j < n) y[begin + j] = part[j];
    if (sums && t == threads - 1) sums[blockIdx.x] = part[length - 1];
}

extern "C" __global__ void scan_add(int *y, const int *sums, int n, int size) {
    int begin = blockIdx.x * size;
    for (int j = threadIdx.x; j < size; j += blockDim.x)
        if (begin + j < n) y[begin + j] += sums[blockIdx.x];
}
