"""Barriers in shared memory count arrivals and bytes. Bulk copies tell them their bytes. Checked mode knows both."""

import numpy as np
import pytest

from convbench.emulator import FaultKind, KernelFault, UnsupportedError, load_ptx

HEAD = ".version 9.0\n.target sm_90\n.address_size 64\n"
BEGIN = """.visible .entry k(.param .u64 x, .param .u64 out)
{
    .shared .align 16 .b8 tile[1024];
    .shared .align 8 .b8 bar[16];
    .reg .b32 %t, %u, %v, %place, %far, %b; .reg .b64 %x, %out, %o, %s; .reg .pred %first, %done;
    ld.param.u64 %x, [x]; ld.param.u64 %out, [out];
    mov.u32 %t, %tid.x;
    mov.u32 %b, bar;
    mul.wide.u32 %o, %t, 4;
    add.u64 %out, %out, %o;
    shl.b32 %place, %t, 2;
    xor.b32 %far, %place, 252;
    setp.eq.u32 %first, %t, 0;
"""
END = "    ret;\n}\n"
THROUGH_TILE = BEGIN + """
    add.u64 %x, %x, %o;
    ld.global.u32 %v, [%x];
    @%first mbarrier.init.shared::cta.b64 [bar], 64;
    bar.sync 0;
    st.shared.u32 [%place], %v;
    ARRIVE
WAIT:
    mbarrier.ACTION.shared.b64 %done, [%b], STATE;
    @!%done bra WAIT;
    ld.shared.u32 %v, [%far];
    st.global.u32 [%out], %v;
""" + END  # fmt: skip
STATE, EVEN = "mbarrier.arrive.shared.b64 %s, [%b];", "mbarrier.arrive.release.cta.shared::cta.b64 _, [%b];"


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("action", ["test_wait", "try_wait"])
@pytest.mark.parametrize(("arrive", "parity", "state"), [(STATE, "", "%s"), (EVEN, ".parity", "0")])
def test_threads_wait_until_all_have_arrived(arrive, action, parity, state, checked):
    text = THROUGH_TILE.replace("ARRIVE", arrive).replace("ACTION", action + parity).replace("STATE", state)
    x, out = np.arange(64, dtype=np.uint32) * 3, np.zeros(64, np.uint32)
    load_ptx(HEAD + text)["k"].launch(1, 64, x, out, checked=checked)
    np.testing.assert_array_equal(out, x[::-1])


def test_checked_mode_tells_the_race_without_the_wait():
    text = THROUGH_TILE.replace("ARRIVE", STATE).replace("ACTION", "test_wait").replace("STATE", "%s")
    text = text.replace("@!%done bra WAIT;", "")
    with pytest.raises(KernelFault, match="data race"):
        load_ptx(HEAD + text)["k"].launch(1, 64, np.zeros(64, np.uint32), np.zeros(64, np.uint32), checked=True)


def test_a_thread_that_waits_for_nobody_is_told():
    text = (
        THROUGH_TILE.replace("ARRIVE", STATE).replace("ACTION", "try_wait").replace("STATE", "%s").replace("64;", "65;")
    )
    with pytest.raises(KernelFault) as caught:
        load_ptx(HEAD + text)["k"].launch(1, 64, np.zeros(64, np.uint32), np.zeros(64, np.uint32), checked=True)
    assert caught.value.kind in (FaultKind.SPINNING, FaultKind.STEPS)


PHASES = BEGIN + """
    @%first mbarrier.init.shared.b64 [bar], 66;
    bar.sync 0;
    @%first mbarrier.arrive_drop.shared.b64 _, [bar], 2;
    mbarrier.arrive.shared.b64 %s, [bar];
    bar.sync 0;
    mbarrier.pending_count.b64 %u, %s;
    mbarrier.test_wait.shared.b64 %done, [bar], %s;
    selp.u32 %v, 1000, 0, %done;
    add.u32 %v, %v, %u;                              // the first phase is over
    @%first mbarrier.arrive.expect_tx.shared.b64 _, [bar], 96;
    @!%first mbarrier.arrive.shared.b64 _, [bar];
    bar.sync 0;
    mbarrier.test_wait.parity.shared.b64 %done, [bar], 1;
    selp.u32 %u, 10000, 0, %done;
    add.u32 %v, %v, %u;                              // the second is not: bytes are missing
    bar.sync 0;
    @%first mbarrier.complete_tx.relaxed.cta.shared.b64 [bar], 96;
    bar.sync 0;
    mbarrier.test_wait.parity.shared.b64 %done, [bar], 1;
    selp.u32 %u, 100000, 0, %done;
    add.u32 %v, %v, %u;                              // now it is
    st.global.u32 [%out], %v;
""" + END  # fmt: skip


def test_a_phase_ends_when_arrivals_and_bytes_are_there():
    out = np.zeros(64, np.uint32)
    load_ptx(HEAD + PHASES)["k"].launch(1, 64, 0, out)
    assert sorted(out - 101_000) == list(range(1, 65)), "each thread saw the number of those that had not arrived"


BULK = BEGIN + """
    @%first mbarrier.init.shared.b64 [bar], 1;
    fence.mbarrier_init.release.cluster;
    bar.sync 0;
    mov.u32 %v, tile;
    @%first mbarrier.arrive.expect_tx.shared::cta.b64 %s, [bar], 256;
    @%first cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [%v], [%x], 128, [%b];
    @%first cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%v+128], [%x+SECOND], 128, [%b];
WAIT:
    mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 %done, [%b], 0;
    @!%done bra WAIT;
    ld.shared.u32 %u, [%place];
    add.u32 %u, %u, %t;
    bar.sync 0;
    st.shared.u32 [%far], %u;
    fence.proxy.async.shared::cta;
    bar.sync 0;
    @!%first bra END;
    sub.u64 %out, %out, %o;
    cp.async.bulk.global.shared::cta.bulk_group [%out], [%v], 256;
    cp.async.bulk.commit_group;
    cp.async.bulk.wait_group.read 0;
END:
""" + END  # fmt: skip


@pytest.mark.parametrize("checked", [False, True])
def test_bulk_copies_move_bytes_both_ways(checked):
    x, out = np.arange(64, dtype=np.uint32) * 3, np.zeros(64, np.uint32)
    load_ptx(HEAD + BULK.replace("SECOND", "128"))["k"].launch(1, 64, x, out, checked=checked)
    np.testing.assert_array_equal(out, (x + np.arange(64))[::-1])


@pytest.mark.parametrize("checked", [False, True])
def test_a_bulk_copy_from_outside_is_a_fault(checked):
    x, out = np.zeros(64, np.uint32), np.zeros(64, np.uint32)
    with pytest.raises(KernelFault, match="reads 16 bytes outside"):
        load_ptx(HEAD + BULK.replace("SECOND", "144"))["k"].launch(1, 64, x, out, checked=checked)


def test_a_bulk_copy_that_nobody_waits_for_is_told_where_it_is_read():
    text = BULK.replace("SECOND", "128").replace("@!%done bra WAIT;", "").replace("WAIT:", "").replace(
        "mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 %done, [%b], 0;", "bar.sync 0;"
    )  # fmt: skip
    kernel = load_ptx(HEAD + text)["k"]
    with pytest.raises(KernelFault, match=r"`ld\.shared\.u32 %u, .* of tile, which was never written"):
        kernel.launch(1, 64, np.zeros(64, np.uint32), np.zeros(64, np.uint32), checked=True)


def test_a_bulk_copy_must_not_be_overwritten_before_the_wait():
    text = BULK.replace("SECOND", "128").replace("WAIT:", "@%first st.shared.u32 [%place], %t;\nWAIT:")
    with pytest.raises(KernelFault, match="asynchronous copy to it is under way") as caught:
        load_ptx(HEAD + text)["k"].launch(1, 64, np.zeros(64, np.uint32), np.zeros(64, np.uint32), checked=True)
    assert caught.value.kind is FaultKind.COPY_TARGET


ARRIVALS = BEGIN + """
    mov.u32 %v, tile;
    add.u32 %v, %v, %place;
    add.u64 %x, %x, %o;
    @%first mbarrier.init.shared.b64 [bar], 64;
    bar.sync 0;
    cp.async.ca.shared.global [%v], [%x], 4;
    cp.async.mbarrier.arrive.shared.b64 [%b];
    cp.async.mbarrier.arrive.noinc.shared.b64 [%b];
WAIT:
    mbarrier.try_wait.parity.shared.b64 %done, [%b], 0;
    @!%done bra WAIT;
    ld.shared.u32 %v, [%far];
    st.global.u32 [%out], %v;
""" + END  # fmt: skip


@pytest.mark.parametrize("checked", [False, True])
def test_asynchronous_copies_arrive_when_they_have_landed(checked):
    x, out = np.arange(64, dtype=np.uint32) * 3, np.zeros(64, np.uint32)
    load_ptx(HEAD + ARRIVALS)["k"].launch(1, 64, x, out, checked=checked)
    np.testing.assert_array_equal(out, x[::-1])


TENSOR = "cp.async.bulk.tensor.2d.shared::cta.global.mbarrier::complete_tx::bytes [%b], [%x, {%t, %t}], [%b];"
TO_ALL = (
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%b], [%x], 16, [%b], %h;"
)


@pytest.mark.parametrize(("text", "message"), [(TENSOR, "tensors"), (TO_ALL, "without tensors, clusters and masks")])
def test_copies_of_tensors_and_to_clusters_are_refused_by_name(text, message):
    kernel = BEGIN.replace(".reg .b64", ".reg .b16 %h; .reg .b64", 1) + text + END
    with pytest.raises(UnsupportedError, match=message):
        load_ptx(HEAD + kernel)["k"].launch(1, 1, 0, 0)
