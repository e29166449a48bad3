// Small kernels that use NVIDIA's C++ library, objects and tensor cores. test_cuda_library.py runs them.

#pragma nv_diag_suppress static_var_with_dynamic_init

#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>
#include <cuda/atomic>
#include <cuda/barrier>
#include <cuda/pipeline>
#include <cuda/ptx>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <mma.h>

namespace cg = cooperative_groups;
using namespace nvcuda::wmma;

// ---- barriers in memory, pipelines, bulk copies

extern "C" __global__ void with_barrier(const int* x, int* out) {
    __shared__ cuda::barrier<cuda::thread_scope_block> bar;
    __shared__ int tile[128];
    if (threadIdx.x == 0) init(&bar, blockDim.x);
    __syncthreads();
    tile[threadIdx.x] = x[threadIdx.x];
    auto token = bar.arrive();
    int mine = x[threadIdx.x] * 3;
    bar.wait(std::move(token));
    out[threadIdx.x] = mine + tile[127 - threadIdx.x];
    bar.arrive_and_wait();
    tile[threadIdx.x] = out[threadIdx.x];
    bar.arrive_and_wait();
    out[threadIdx.x] += tile[(threadIdx.x + 1) & 127];
}

extern "C" __global__ void with_memcpy(const int* x, int* out) {
    __shared__ cuda::barrier<cuda::thread_scope_block> bar;
    __shared__ alignas(16) int tile[512];
    auto block = cg::this_thread_block();
    if (block.thread_rank() == 0) init(&bar, block.size());
    block.sync();
    cuda::memcpy_async(block, tile, x, cuda::aligned_size_t<16>(sizeof(tile)), bar);
    bar.arrive_and_wait();
    for (int i = threadIdx.x; i < 512; i += blockDim.x) out[i] = tile[511 - i];
}

extern "C" __global__ void with_pipeline(const float* x, float* out, int n) {
    __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
    __shared__ float tile[2][128];
    auto block = cg::this_thread_block();
    auto pipe = cuda::make_pipeline(block, &state);
    float sum = 0;
    pipe.producer_acquire();
    cuda::memcpy_async(block, tile[0], x, sizeof(float) * 128, pipe);
    pipe.producer_commit();
    for (int i = 0; i < n; i++) {
        if (i + 1 < n) {
            pipe.producer_acquire();
            cuda::memcpy_async(block, tile[(i + 1) & 1], x + 128 * (i + 1), sizeof(float) * 128, pipe);
            pipe.producer_commit();
        }
        pipe.consumer_wait();
        sum += tile[i & 1][127 - threadIdx.x];
        pipe.consumer_release();
    }
    out[threadIdx.x] = sum;
}

extern "C" __global__ void bulk(const int* x, int* out) {
    __shared__ alignas(128) int tile[256];
    __shared__ cuda::barrier<cuda::thread_scope_block> bar;
    if (threadIdx.x == 0) { init(&bar, blockDim.x); cuda::ptx::fence_proxy_async(cuda::ptx::space_shared); }
    __syncthreads();
    cuda::barrier<cuda::thread_scope_block>::arrival_token token;
    if (threadIdx.x == 0) {
        cuda::device::memcpy_async_tx(tile, x, cuda::aligned_size_t<16>(sizeof(tile)), bar);
        token = cuda::device::barrier_arrive_tx(bar, 1, sizeof(tile));
    } else token = bar.arrive();
    bar.wait(std::move(token));
    for (int i = threadIdx.x; i < 256; i += blockDim.x) tile[i] += i;
    cuda::ptx::fence_proxy_async(cuda::ptx::space_shared);
    __syncthreads();
    if (threadIdx.x == 0) {
        cuda::ptx::cp_async_bulk(cuda::ptx::space_global, cuda::ptx::space_shared, out, tile, sizeof(tile));
        cuda::ptx::cp_async_bulk_commit_group();
        cuda::ptx::cp_async_bulk_wait_group_read(cuda::ptx::n32_t<0>{});
    }
}

// ---- atomics, objects, numbers, groups

extern "C" __global__ void atomic_refs(int* x, unsigned long long* y, float* f, double* d) {
    cuda::atomic_ref<int, cuda::thread_scope_device> a(x[0]);
    a.fetch_add(3, cuda::memory_order_relaxed);
    a.fetch_max(7);
    cuda::atomic_ref<unsigned long long, cuda::thread_scope_block> b(y[0]);
    b.fetch_xor(threadIdx.x, cuda::memory_order_acq_rel);
    cuda::atomic_ref<float, cuda::thread_scope_system> c(f[0]);
    c.fetch_add(1.f);
    atomicAdd(d, 0.5);
    atomicAdd_system(x + 1, 1); atomicAdd_block(x + 2, 1);
    atomicInc((unsigned*)x + 3, 5); atomicExch(x + 4, 9); atomicAnd(x + 5, ~1); atomicSub(x + 6, 2);
}

extern "C" __global__ void atomic_halves(__half* h, __half2* h2, __nv_bfloat16* b, __nv_bfloat162* b2, float4* f4) {
    atomicAdd(h, __float2half(0.5f)); atomicAdd(h2, __floats2half2_rn(1.f, 2.f));
    atomicAdd(b, __float2bfloat16(0.5f)); atomicAdd(b2, __floats2bfloat162_rn(1.f, 2.f));
    atomicAdd(f4, make_float4(1, 2, 3, 4));
    float2 old = atomicAdd((float2*)(f4 + 1), make_float2(1, 2)); f4[2 + threadIdx.x].x = old.x;
}

struct Base { __device__ virtual float f(float x) const = 0; float k; };
struct A : Base { __device__ float f(float x) const override { return x * k; } };
struct B : Base { __device__ float f(float x) const override { return x + k; } };

extern "C" __global__ void virtuals(const float* x, float* out) {
    A a; a.k = 2; B b; b.k = 3;
    const Base* p = threadIdx.x & 1 ? (const Base*)&a : (const Base*)&b;
    out[threadIdx.x] = p->f(x[threadIdx.x]);
}

extern "C" __global__ void fp8(const float* x, unsigned char* out, float* back, __half* h) {
    int i = threadIdx.x;
    __nv_fp8_e4m3 a(x[i]); __nv_fp8_e5m2 b(x[i]);
    out[2 * i] = a.__x; out[2 * i + 1] = b.__x; back[2 * i] = float(a); back[2 * i + 1] = float(b);
    h[i] = hexp(__float2half(x[i]));
    h[i] = __hmax_nan(h[i], __float2half(1.f));
    h[i] = hsqrt(h[i]);
    h[i] = htanh(h[i]);
}

extern "C" __global__ void int128(const unsigned long long* x, unsigned long long* out) {
    unsigned __int128 a = x[0], b = x[1];
    unsigned __int128 p = a * b + (a << 70) - b;
    p = p / 3 + (unsigned __int128)(p % 1000000007);
    out[0] = p; out[1] = p >> 64;
}

extern "C" __global__ void cgroups(const int* x, int* out) {
    auto block = cg::this_thread_block(); auto warp = cg::tiled_partition<32>(block);
    int s = cg::reduce(warp, x[block.thread_rank()], cg::plus<int>());
    int m = cg::reduce(warp, x[block.thread_rank()], cg::greater<int>());
    int sc = cg::inclusive_scan(warp, x[block.thread_rank()]);
    auto bin = cg::labeled_partition(warp, x[block.thread_rank()] & 1);
    auto two = cg::binary_partition(warp, (x[block.thread_rank()] & 2) != 0);
    int* o = out + 6 * block.thread_rank();
    o[0] = s;
    o[1] = m;
    o[2] = sc;
    o[3] = bin.size();
    o[4] = two.thread_rank();
    o[5] = cg::reduce(two, 1, cg::plus<int>());
}

struct Table { int a[8]; float f; double d[3]; };

__noinline__ __device__ int taken(const Table* table, int i) { return table->a[i & 7]; }

extern "C" __global__ void of_parameters(const __grid_constant__ Table table, const int* x, int* out) {
    int v = x[threadIdx.x];
    out[threadIdx.x] = taken(&table, v) + table.a[(v + 1) & 7] + (int)table.d[v % 3] + (int)table.f;
}

// ---- tensor cores

extern "C" __global__ void wmma_bytes(const signed char* a, const signed char* b, int* c) {
    fragment<matrix_a, 8, 32, 16, signed char, row_major> l;
    fragment<accumulator, 8, 32, 16, int> s;
    fragment<matrix_b, 8, 32, 16, signed char, col_major> r;
    __shared__ int t[8 * 32];
    fill_fragment(s, 5);
    load_matrix_sync(l, a, 16);
    load_matrix_sync(r, b, 16);
    mma_sync(s, l, r, s);
    store_matrix_sync(t, s, 32, mem_row_major);
    __syncwarp();
    for (int i = threadIdx.x; i < 256; i += 32) c[i] = t[i];
}

extern "C" __global__ void wmma_tf32(const float* a, const float* b, float* c) {
    fragment<matrix_a, 16, 16, 8, precision::tf32, col_major> l;
    fragment<matrix_b, 16, 16, 8, precision::tf32, row_major> r;
    fragment<accumulator, 16, 16, 8, float> s;
    load_matrix_sync(s, c, 16, mem_col_major); load_matrix_sync(l, a, 16); load_matrix_sync(r, b, 16);
    for (int i = 0; i < l.num_elements; i++) l.x[i] = __float_to_tf32(l.x[i]);
    for (int i = 0; i < r.num_elements; i++) r.x[i] = __float_to_tf32(r.x[i]);
    mma_sync(s, l, r, s); store_matrix_sync(c, s, 16, mem_col_major);
}

extern "C" __global__ void wmma_double(const double* a, const double* b, double* c) {
    fragment<matrix_a, 8, 8, 4, double, row_major> l;
    fragment<matrix_b, 8, 8, 4, double, col_major> r;
    fragment<accumulator, 8, 8, 4, double> s;
    fill_fragment(s, 0.5);
    load_matrix_sync(l, a, 4);
    load_matrix_sync(r, b, 4);
    mma_sync(s, l, r, s);
    store_matrix_sync(c, s, 8, mem_row_major);
}

extern "C" __global__ void wmma_bits(const unsigned* a, const unsigned* b, int* c) {
    fragment<matrix_a, 8, 8, 128, experimental::precision::b1, row_major> l;
    fragment<matrix_b, 8, 8, 128, experimental::precision::b1, col_major> r;
    fragment<accumulator, 8, 8, 128, int> s;
    fill_fragment(s, 0);
    load_matrix_sync(l, a, 128);
    load_matrix_sync(r, b, 128);
    bmma_sync(s, l, r, s, experimental::bmmaBitOpAND);
    store_matrix_sync(c, s, 8, mem_row_major);
}

extern "C" __global__ void wmma_bf16(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c) {
    fragment<matrix_a, 32, 8, 16, __nv_bfloat16, row_major> l;
    fragment<matrix_b, 32, 8, 16, __nv_bfloat16, row_major> r;
    fragment<accumulator, 32, 8, 16, float> s;
    fill_fragment(s, 0.f);
    load_matrix_sync(l, a, 16);
    load_matrix_sync(r, b, 8);
    mma_sync(s, l, r, s);
    store_matrix_sync(c, s, 8, mem_row_major);
}
