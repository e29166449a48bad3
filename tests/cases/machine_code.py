"""Machine code as text, in the format of cuobjdump."""

from convbench.inspection.sass import read

# in the format of cuobjdump 13.5: a loop that loads, multiplies, and goes to the next tap every few passes
LOOP = """
\tcode for sm_90a
\t\tFunction : first
\t.headerflags\t@"EF_CUDA_SM90"
        /*0000*/                   EXIT ;                                 /* 0x000000000000794d */
\t\tFunction : kernel
\t.headerflags\t@"EF_CUDA_SM90"
        /*0000*/                   LDC R1, c[0x0][0x28] ;                 /* 0x00000a00ff017b82 */
                                                                          /* 0x000e220000000800 */
        /*0010*/                   S2R R0, SR_TID.X ;                     /* 0x0000000000007919 */
        /*0020*/                   LDGSTS.E.BYPASS.LTC128B.128 [R2], desc[UR4][R6.64] ;  /* 0x000 */
        /*0030*/              @!P0 BRA 0x60 ;                             /* 0x0000000000a48947 */
        /*0040*/                   IADD3 R8, R8, 0x1, RZ ;                /* 0x0000000108087810 */
        /*0050*/                   MOV R9, RZ ;                           /* 0x000000ff00097202 */
        /*0060*/                   BAR.SYNC.DEFER_BLOCKING 0x0 ;          /* 0x0000000000007b1d */
        /*0070*/                   LDS.128 R12, [R4] ;                    /* 0x000000000c0c7984 */
        /*0080*/                   FFMA R20, R12, R13, R20 ;              /* 0x0000000d0c147223 */
        /*0090*/                   FFMA R21, R12, R14, R21 ;              /* 0x0000000e0c157223 */
        /*00a0*/               @P1 LDG.E.64 R16, desc[UR4][R6.64] ;       /* 0x0000000406101981 */
        /*00b0*/                   ISETP.NE.AND P2, PT, R8, 0x10, PT ;    /* 0x000000100800780c */
        /*00c0*/               @P2 BRA 0x20 ;                             /* 0xfffffffc00d42947 */
        /*00d0*/                   STG.E desc[UR4][R2.64], R20 ;          /* 0x0000001402007986 */
        /*00e0*/                   EXIT ;                                 /* 0x000000000000794d */
        /*00f0*/                   BRA 0xf0;                              /* 0xfffffffc00fc7947 */
        /*0100*/                   NOP;                                   /* 0x0000000000007918 */
"""


def written(*lines: str) -> str:
    """A kernel of these instructions, of 16 bytes each, in the format of the disassembler."""
    body = "\n".join(f"        /*{16 * at:04x}*/                   {line} ;" for at, line in enumerate(lines))
    return f"\t\tFunction : kernel\n{body}\n"


def code_of(*lines: str):
    return read(written(*lines), "kernel")
