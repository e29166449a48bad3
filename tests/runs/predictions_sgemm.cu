// The steps of a well-known series on SGEMM, written from their description.

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
#pragma unroll  // ptxas does it where NVVM does not
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

__device__ __forceinline__ void copy4(float *to, const float *from) { *(float4 *)to = *(const float4 *)from; }

// Loads of 128 bits: the left tile is transposed, so that the rows of a thread lie side by side too.
template <int M, int N, int K, int THREADS>
__device__ __forceinline__ void load_tiles(float *left, float *right, const float *a, const float *b, int n) {
#pragma unroll
    for (int at = threadIdx.x; at < M * K / 4; at += THREADS) {
        int row = at / (K / 4), column = at % (K / 4) * 4;
        float four[4];
        copy4(four, &a[row * n + column]);
        for (int j = 0; j < 4; ++j) left[(column + j) * M + row] = four[j];
    }
#pragma unroll
    for (int at = threadIdx.x; at < K * N / 4; at += THREADS) copy4(&right[at * 4], &b[at / (N / 4) * n + at % (N / 4) * 4]);
}

extern "C" __global__ void __launch_bounds__(256) sgemm_vectorised(const float *a, const float *b, float *c, int n) {
    const int M = 128, N = 128, K = 8, SIZE = 8;
    __shared__ __align__(16) float left[K * M], right[K * N];
    int x = threadIdx.x % (N / SIZE), y = threadIdx.x / (N / SIZE);
    a += blockIdx.y * M * n, b += blockIdx.x * N, c += blockIdx.y * M * n + blockIdx.x * N;
    float total[SIZE][SIZE] = {};
    for (int first = 0; first < n; first += K) {
        load_tiles<M, N, K, 256>(left, right, a + first, b + first * n, n);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < K; ++k) {
            float rows[SIZE], columns[SIZE];
            for (int i = 0; i < SIZE; i += 4) copy4(&rows[i], &left[k * M + y * SIZE + i]);
            for (int j = 0; j < SIZE; j += 4) copy4(&columns[j], &right[k * N + x * SIZE + j]);
            for (int i = 0; i < SIZE; ++i)
                for (int j = 0; j < SIZE; ++j) total[i][j] += rows[i] * columns[j];
        }
        __syncthreads();
    }
    for (int i = 0; i < SIZE; ++i)
        for (int j = 0; j < SIZE; j += 4) copy4(&c[(y * SIZE + i) * n + x * SIZE + j], &total[i][j]);
}

// Each warp has a tile of 64 by 64 results, and each lane 8 rows in each of four parts of 16 columns.
extern "C" __global__ void __launch_bounds__(128) sgemm_warp_tiles(const float *a, const float *b, float *c, int n) {
    const int M = 128, N = 128, K = 16, PARTS = 4, ROWS = 8;
    __shared__ __align__(16) float left[K * M], right[K * N];
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    int row = warp / 2 * 64 + lane / 4 * ROWS, column = warp % 2 * 64 + lane % 4 * 4;
    a += blockIdx.y * M * n, b += blockIdx.x * N, c += blockIdx.y * M * n + blockIdx.x * N;
    float total[ROWS][PARTS][4] = {};
    for (int first = 0; first < n; first += K) {
        load_tiles<M, N, K, 128>(left, right, a + first, b + first * n, n);
        __syncthreads();
#pragma unroll
        for (int k = 0; k < K; ++k) {
            float rows[ROWS], columns[PARTS][4];
            for (int i = 0; i < ROWS; i += 4) copy4(&rows[i], &left[k * M + row + i]);
            for (int p = 0; p < PARTS; ++p) copy4(columns[p], &right[k * N + column + p * 16]);
            for (int i = 0; i < ROWS; ++i)
                for (int p = 0; p < PARTS; ++p)
                    for (int j = 0; j < 4; ++j) total[i][p][j] += rows[i] * columns[p][j];
        }
        __syncthreads();
    }
    for (int i = 0; i < ROWS; ++i)
        for (int p = 0; p < PARTS; ++p) copy4(&c[(row + i) * n + column + p * 16], total[i][p]);
}
