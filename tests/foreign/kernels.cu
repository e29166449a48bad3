// Small kernels for nvcc and NVRTC. test_cuda_cpp.py runs each on the emulator and compares it with NumPy.

#include <cooperative_groups.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_pipeline.h>
#include <mma.h>

namespace cg = cooperative_groups;

#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)

// ---- elements

extern "C" __global__ void saxpy(const float* x, const float* y, float* out, float a, int n) {
    int i = INDEX;
    if (i < n) out[i] = a * x[i] + y[i];
}

extern "C" __global__ void clipped(const int* x, int* out, int n) {
    for (int i = INDEX; i < n; i += gridDim.x * blockDim.x) {
        int v = x[i];
        if (v < 0) v = (v % 7) ? -v : v / 3;
        else if (v > 100 && (v & 1)) v = 100;
        out[i] = v;
    }
}

extern "C" __global__ void scale_vectors(const float4* x, float4* out, const double2* d, double2* out_d,
                                         const uchar4* c, uchar4* out_c) {
    int i = INDEX;
    float4 v = x[i];
    out[i] = make_float4(v.w * 2, v.z * 2, v.y * 2, v.x * 2);
    double2 w = d[i];
    out_d[i] = make_double2(w.y, w.x + w.y);
    uchar4 b = c[i];
    out_c[i] = make_uchar4(b.w, b.z + b.x, b.y, b.x);
}

extern "C" __global__ void bits(const unsigned* x, const unsigned* y, unsigned* out) {
    int i = threadIdx.x;
    unsigned a = x[i], b = y[i];
    unsigned* o = out + 10 * i;
    o[0] = __popc(a); o[1] = __clz(a); o[2] = __brev(a); o[3] = __ffs(a); o[4] = __byte_perm(a, b, 0x6152);
    o[5] = __funnelshift_l(a, b, i); o[6] = __umulhi(a, b); o[7] = __dp4a(a, b, 5u); o[8] = __vadd4(a, b);
    o[9] = __usad(a, b, 3u);
}

extern "C" __global__ void wide(const long long* x, const long long* y, long long* out, double* quotients) {
    int i = threadIdx.x;
    out[3 * i] = x[i] / y[i];
    out[3 * i + 1] = x[i] % y[i];
    out[3 * i + 2] = __mul64hi(x[i], y[i]);
    quotients[i] = (double)x[i] / (double)y[i];
}

extern "C" __global__ void functions(const float* x, float* out, int n) {
    int i = INDEX;
    if (i >= n) return;
    float v = x[i];
    float* o = out + 8 * i;
    o[0] = expf(v); o[1] = sinf(v); o[2] = logf(fabsf(v) + 1.f); o[3] = powf(fabsf(v), 1.5f);
    o[4] = tanhf(v); o[5] = erff(v); o[6] = cbrtf(v); o[7] = sqrtf(fabsf(v));
}

extern "C" __global__ void doubles(const double* x, double* out) {
    double v = x[threadIdx.x];
    double* o = out + 4 * threadIdx.x;
    o[0] = exp(v); o[1] = sin(v * 1e5); o[2] = atan2(v, 2.0); o[3] = fmod(v * 100.0, 0.7);
}

extern "C" __global__ void halves(const __half2* x, const __half2* y, __half2* out, const __nv_bfloat16* b,
                                  float* widened, __nv_bfloat16* narrowed) {
    int i = INDEX;
    __half2 v = __hfma2(x[i], y[i], __float2half2_rn(0.5f));
    out[i] = __hgt(__low2half(v), __high2half(v)) ? v : __lowhigh2highlow(v);
    widened[i] = __bfloat162float(b[i]);
    narrowed[i] = __float2bfloat16(widened[i] * 1.25f);
}

// ---- blocks and warps

extern "C" __global__ void block_sum(const float* x, float* out, int n) {
    __shared__ float part[256];
    int t = threadIdx.x;
    float sum = 0;
    for (int i = INDEX; i < n; i += gridDim.x * blockDim.x) sum += x[i];
    part[t] = sum;
    __syncthreads();
    for (int step = blockDim.x / 2; step > 0; step /= 2) {
        if (t < step) part[t] += part[t + step];
        __syncthreads();
    }
    if (t == 0) atomicAdd(out, part[0]);
}

extern "C" __global__ void warp_scan(const int* x, int* sums, int* largest, unsigned* votes) {
    int i = INDEX, lane = threadIdx.x & 31, v = x[i];
    for (int step = 1; step < 32; step *= 2) {
        int other = __shfl_up_sync(0xffffffffu, v, step);
        if (lane >= step) v += other;
    }
    sums[i] = v;
    int most = x[i];
    for (int step = 16; step; step /= 2) most = max(most, __shfl_xor_sync(0xffffffffu, most, step));
    largest[i] = most + __shfl_down_sync(0xffffffffu, most, 1, 8) - most;
    votes[4 * i] = __ballot_sync(0xffffffffu, x[i] > 0);
    votes[4 * i + 1] = __any_sync(0xffffffffu, x[i] == 3);
    votes[4 * i + 2] = __match_any_sync(0xffffffffu, x[i] & 3);
    votes[4 * i + 3] = __reduce_add_sync(0xffffffffu, (unsigned)x[i]);
}

extern "C" __global__ void matmul_tiled(const float* a, const float* b, float* c, int n, int m, int k) {
    __shared__ float left[16][16], right[16][17];
    int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
    float sum = 0;
    for (int first = 0; first < k; first += 16) {
        int x = first + threadIdx.x, y = first + threadIdx.y;
        left[threadIdx.y][threadIdx.x] = row < n && x < k ? a[row * k + x] : 0.f;
        right[threadIdx.y][threadIdx.x] = y < k && column < m ? b[y * m + column] : 0.f;
        __syncthreads();
        for (int i = 0; i < 16; i++) sum += left[threadIdx.y][i] * right[i][threadIdx.x];
        __syncthreads();
    }
    if (row < n && column < m) c[row * m + column] = sum;
}

extern "C" __global__ void softmax(const float* x, float* out, int columns) {
    __shared__ float part[4];
    const float* row = x + blockIdx.x * columns;
    int t = threadIdx.x;
    float most = -1e30f, sum = 0;
    for (int i = t; i < columns; i += 128) most = fmaxf(most, row[i]);
    for (int step = 16; step; step /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, step));
    if (t % 32 == 0) part[t / 32] = most;
    __syncthreads();
    most = fmaxf(fmaxf(part[0], part[1]), fmaxf(part[2], part[3]));
    __syncthreads();
    for (int i = t; i < columns; i += 128) sum += __expf(row[i] - most);
    for (int step = 16; step; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (t % 32 == 0) part[t / 32] = sum;
    __syncthreads();
    sum = part[0] + part[1] + part[2] + part[3];
    for (int i = t; i < columns; i += 128) out[blockIdx.x * columns + i] = __expf(row[i] - most) / sum;
}

extern "C" __global__ void transposed(const double* x, double* out, int n) {
    extern __shared__ double tile[];
    int size = blockDim.x;
    tile[threadIdx.y * (size + 1) + threadIdx.x] = x[(blockIdx.y * size + threadIdx.y) * n + blockIdx.x * size + threadIdx.x];
    __syncthreads();
    out[(blockIdx.x * size + threadIdx.y) * n + blockIdx.y * size + threadIdx.x] = tile[threadIdx.x * (size + 1) + threadIdx.y];
}

extern "C" __global__ void groups(const int* x, int* out) {
    auto block = cg::this_thread_block();
    auto tile = cg::tiled_partition<8>(block);
    int v = x[block.thread_rank()];
    for (int step = 4; step; step /= 2) v += tile.shfl_down(v, step);
    if (tile.thread_rank() == 0) out[tile.meta_group_rank()] = v;
    block.sync();
    if (x[block.thread_rank()] & 1) {
        auto active = cg::coalesced_threads();
        if (active.thread_rank() == 0) atomicAdd(out + 16, active.size());
    }
}

extern "C" __global__ void copied(const float4* x, float* out) {
    __shared__ float4 tile[2][64];
    int t = threadIdx.x;
    __pipeline_memcpy_async(&tile[0][t], x + t, 16);
    __pipeline_commit();
    __pipeline_memcpy_async(&tile[1][t], x + 64 + t, 16, 8);
    __pipeline_commit();
    __pipeline_wait_prior(1);
    __syncthreads();
    float sum = tile[0][63 - t].x;
    __pipeline_wait_prior(0);
    __syncthreads();
    float4 v = tile[1][63 - t];
    out[t] = sum + 2 * v.x + 3 * v.y + 5 * v.z + 7 * v.w;
}

// ---- atomics, printf, constants, calls

extern "C" __global__ void histogram(const int* x, int* counts, int* extremes, unsigned long long* total, int n) {
    __shared__ int mine[16];
    if (threadIdx.x < 16) mine[threadIdx.x] = 0;
    __syncthreads();
    int i = INDEX;
    if (i < n) {
        atomicAdd(mine + (x[i] & 15), 1);
        atomicMax(extremes, x[i]);
        atomicMin(extremes + 1, x[i]);
        atomicAdd(total, (unsigned long long)(x[i] & 255));
        int seen = extremes[2], wanted;
        do wanted = seen; while ((seen = atomicCAS(extremes + 2, wanted, wanted ^ x[i])) != wanted);
    }
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(counts + threadIdx.x, mine[threadIdx.x]);
}

__device__ unsigned finished = 0;

extern "C" __global__ void last_block(const float* x, float* parts, float* out) {
    __shared__ bool is_last;
    float v = x[INDEX];
    for (int step = 16; step; step /= 2) v += __shfl_down_sync(~0u, v, step);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = v;
        __threadfence();
        is_last = atomicInc(&finished, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (is_last && threadIdx.x == 0) {
        float sum = 0;
        for (unsigned i = 0; i < gridDim.x; i++) sum += ((volatile float*)parts)[i];
        *out = sum;
    }
}

extern "C" __global__ void greet(const int* x) {
    if (threadIdx.x == 1) printf("thread %d of block %u: %lld, %5.2f, %s\n", threadIdx.x, blockIdx.x, 1LL << 40, x[0] / 4.0, "done");
}

__constant__ float filter[9] = {1, 2, 1, 2, 4, 2, 1, 2, 1};

extern "C" __global__ void blur(const float* x, float* out, int height, int width) {
    int row = blockIdx.y * blockDim.y + threadIdx.y, column = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= height || column >= width) return;
    float sum = 0;
    for (int r = -1; r <= 1; r++)
        for (int s = -1; s <= 1; s++) {
            int y = row + r, z = column + s;
            if (y >= 0 && y < height && z >= 0 && z < width) sum += filter[3 * r + s + 4] * x[y * width + z];
        }
    out[row * width + column] = sum / 16;
}

struct Shape { int n, c, h, w, k, r, s; };

extern "C" __global__ void convolve(const float* x, const float* weights, float* out, const Shape shape) {
    int p = shape.h - shape.r + 1, q = shape.w - shape.s + 1;
    int i = INDEX;
    if (i >= shape.n * shape.k * p * q) return;
    int column = i % q, row = i / q % p, k = i / (q * p) % shape.k, n = i / (q * p * shape.k);
    float sum = 0;
    for (int c = 0; c < shape.c; c++)
        for (int r = 0; r < shape.r; r++)
            for (int s = 0; s < shape.s; s++)
                sum += x[((n * shape.c + c) * shape.h + row + r) * shape.w + column + s] *
                       weights[((k * shape.c + c) * shape.r + r) * shape.s + s];
    out[i] = sum;
}

struct Pair { double mean; float largest; int count; };

__noinline__ __device__ Pair describe(const float* x, int n, Pair before) {
    for (int i = 0; i < n; i++) {
        before.mean += x[i];
        before.largest = fmaxf(before.largest, x[i]);
        before.count++;
    }
    return before;
}

extern "C" __global__ void described(const float* x, double* out, int n) {
    Pair found = describe(x + threadIdx.x * n, n, Pair{0.5, -1e30f, 2});
    out[3 * threadIdx.x] = found.mean;
    out[3 * threadIdx.x + 1] = found.largest;
    out[3 * threadIdx.x + 2] = found.count;
}

__noinline__ __device__ float twice(float x) { return 2 * x; }
__noinline__ __device__ float square(float x) { return x * x; }
typedef float (*Function)(float);
__device__ Function chosen[2] = {twice, square};

extern "C" __global__ void through_pointers(const float* x, float* out) {
    out[threadIdx.x] = chosen[threadIdx.x & 1](x[threadIdx.x]);
}

extern "C" __global__ void sorted(const int* x, int* out) {
    int mine[16];
    for (int i = 0; i < 16; i++) {
        int v = x[16 * threadIdx.x + i], at = i;
        while (at > 0 && mine[at - 1] > v) { mine[at] = mine[at - 1]; at--; }
        mine[at] = v;
    }
    for (int i = 0; i < 16; i++) out[16 * threadIdx.x + i] = mine[i];
}

extern "C" __global__ void switched(const int* x, int* out) {
    int v = x[threadIdx.x], r;
    switch (v) {
        case 0: r = v + 11; break;
        case 1: r = __clz(v + 5); break;
        case 2: r = v * v * 7; break;
        case 3: r = -v; break;
        case 4: r = __popc(v * 977); break;
        case 5: r = v << 5; break;
        case 6: r = v / 3; break;
        default: r = 1000;
    }
    out[threadIdx.x] = r;
}

// ---- tensor cores

extern "C" __global__ void wmma_halves(const __half* a, const __half* b, float* c) {
    using namespace nvcuda::wmma;
    fragment<matrix_a, 16, 16, 16, __half, row_major> left;
    fragment<matrix_b, 16, 16, 16, __half, col_major> right;
    fragment<accumulator, 16, 16, 16, float> sum;
    fill_fragment(sum, 1.0f);
    for (int k = 0; k < 64; k += 16) {
        load_matrix_sync(left, a + k, 64);
        load_matrix_sync(right, b + k, 64);
        mma_sync(sum, left, right, sum);
    }
    for (int i = 0; i < sum.num_elements; i++) sum.x[i] *= 2;
    store_matrix_sync(c, sum, 16, mem_row_major);
}
