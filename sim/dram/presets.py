"""DRAM devices that there are, and where each of their numbers comes from.

``ddr4-2400`` on a 512-bit bus is a 64-bit channel at 1200 MHz under a fabric of 300 MHz.
"""

from dataclasses import replace

from sim.dram.dram import Dram
from sim.tools.errors import ToolError

__all__ = ["PRESETS", "VARIANTS", "preset"]

_JEDEC_DDR4 = ("8 Gb x8, 1 KB a page; tRRD and tFAW: table of 1 KB pages; tRFC1 360 ns, tREFI 7.8 us; rounded to CK as "
               "in Ramulator 2 (DDR4.cpp), from which also tCWL, tRTP 7.5 ns, tWR 15 ns, tWTR 2.5 and 7.5 ns")
_SHUHAI_DDR4 = ("controller and PHY: AMD's DDR4 controller answers a read of an open row after 22 cycles of 300 MHz "
                "(Wang et al., Shuhai, arXiv 2005.04324, DDR4-2400 on an Alveo U280), of which CL and burst take 5 and "
                "the model's queues 2")
_ASSUMED = "controller and PHY: no published figure was found; assumed are the 50 ns of ddr4-2400"

PRESETS = {dram.name: dram for dram in (
    Dram("ddr4-2400", f"JEDEC JESD79-4, speed bin DDR4-2400R (16-16-16), CK of 833 ps; {_JEDEC_DDR4}; {_SHUHAI_DDR4}",
         ck_mhz=1200, ratio=4, controller=15, groups=4, banks=4, t_bl=4, t_cl=16, t_cwl=12, t_rcd=16, t_rp=16, t_ras=39,
         t_rc=55, t_ccd_s=4, t_ccd_l=6, t_rrd_s=4, t_rrd_l=6, t_faw=26, t_rtp=9, t_wr=18, t_wtr_s=3, t_wtr_l=9,
         t_turn=2, t_rank=2, t_rfc=433, t_refi=9364),
    Dram("ddr4-3200", f"JEDEC JESD79-4, speed bin DDR4-3200AA (22-22-22), CK of 625 ps; {_JEDEC_DDR4}; {_SHUHAI_DDR4}; "
         "as many cycles at 400 MHz",
         ck_mhz=1600, ratio=4, controller=15, groups=4, banks=4, t_bl=4, t_cl=22, t_cwl=16, t_rcd=22, t_rp=22, t_ras=52,
         t_rc=74, t_ccd_s=4, t_ccd_l=8, t_rrd_s=4, t_rrd_l=8, t_faw=34, t_rtp=12, t_wr=24, t_wtr_s=4, t_wtr_l=12,
         t_turn=2, t_rank=2, t_rfc=576, t_refi=12480),
    Dram("ddr3-1600", "JEDEC JESD79-3, speed bin DDR3-1600K (11-11-11), 4 Gb x8, 1 KB a page, CK of 1.25 ns: tRAS "
         "35 ns, tRC 48.75 ns, tRRD 6 ns, tFAW 30 ns, tRTP and tWTR 7.5 ns, tWR 15 ns, CWL 8, tRFC 260 ns, tREFI "
         "7.8 us; the same CK in DRAMsim3 (DDR3_4Gb_x8_1600.ini); controller and PHY: Altera's half-rate DDR3 "
         "controller reads in 23 cycles of 200 MHz (External Memory Interface Handbook, volume 3, DDR3 SDRAM "
         "Controller with ALTMEMPHY, table 8-2, Stratix IV), of which CL 6 and burst take 5 and the model's queues 2",
         ck_mhz=800, ratio=4, controller=16, banks=8, t_bl=4, t_cl=11, t_cwl=8, t_rcd=11, t_rp=11, t_ras=28, t_rc=39,
         t_ccd_s=4, t_ccd_l=4, t_rrd_s=5, t_rrd_l=5, t_faw=24, t_rtp=6, t_wr=12, t_wtr_s=6, t_wtr_l=6, t_turn=2,
         t_rank=2, t_rfc=208, t_refi=6240),
    Dram("lpddr4-2400", "DRAMsim3, LPDDR4_8Gb_x16_2400.ini (8 Gb x16, 2 KB a page, CK of 833 ps), which rounds JEDEC "
         "JESD209-4 and gives two bank groups where the standard has eight equal banks: to no effect, as BL16 takes "
         "the pins for longer than either tCCD; its tREFI is 7.2 us where the standard has 3.904 us; " + _ASSUMED,
         ck_mhz=1200, ratio=8, controller=8, groups=2, banks=4, row_bursts=64, t_bl=8, t_cl=17, t_cwl=14, t_rcd=15,
         t_rp=15, t_ras=32, t_rc=47, t_ccd_s=4, t_ccd_l=6, t_rrd_s=8, t_rrd_l=8, t_faw=32, t_rtp=12, t_wr=32, t_wtr_s=8,
         t_wtr_l=16, t_turn=2, t_rank=2, t_rfc=392, t_refi=8660),
    Dram("lpddr5-6400", "JEDEC JESD209-5, 16 Gb x16, bank group mode, BL16, WCK:CK 4:1, CK of 1.25 ns: RL 17, tRCD and "
         "tRPpb 18 ns, tRPab 21 ns, tRAS 42 ns, tRRD 5 ns, tFAW 20 ns, tRFCab 280 ns, tRFCpb 140 ns (two banks, the "
         "same bank of two groups), tPBR2PBR 90 ns, tPBR2ACT 7.5 ns, tREFI 3.906 us and an eighth of it; tCWL, tRTP, "
         "tWR and tWTR as in Ramulator 2 (LPDDR5.cpp); " + _ASSUMED,
         ck_mhz=800, ratio=2, controller=20, groups=4, banks=4, row_bursts=64, t_bl=2, t_cl=17, t_cwl=11, t_rcd=15,
         t_rp=15, t_rp_all=17, t_ras=34, t_rc=49, t_ccd_s=2, t_ccd_l=4, t_rrd_s=4, t_rrd_l=4, t_faw=16, t_rtp=4,
         t_wr=28, t_wtr_s=5, t_wtr_l=10, t_turn=2, t_rank=2, t_rfc=224, t_refi=3125, t_rfc_bank=112, t_refi_bank=391,
         refresh_banks=2, t_pbr2pbr=72, t_pbr2act=6),
    Dram("hbm2", "JEDEC JESD235, HBM2 at 2 Gb/s a pin, pseudo-channel of 4 Gb, 1 KB a page, BL4, CK of 1 ns: CL, tCWL, "
         "tRCD, tRP, tRAS, tRRD_S, tRFC, tREFI, tRTP, tWR and tWTR of DRAMsim3 (HBM2_4Gb_x128.ini); in pseudo-channel "
         "mode tCCD 2 and 4, tFAW 15 (Ramulator 2, HBM2.cpp); controller and PHY: AMD's HBM controller answers a read "
         "of an open row after 106.7 ns (Wang et al., Shuhai, arXiv 2005.04324, Alveo U280, HBM at 900 MHz), of which "
         "CL and burst take 17.8 ns: 44 cycles of 500 MHz, of which the model's queues take 2",
         ck_mhz=1000, ratio=2, controller=42, groups=4, banks=4, row_bursts=32, t_bl=2, t_cl=14, t_cwl=4, t_rcd=14,
         t_rp=14, t_ras=34, t_rc=48, t_ccd_s=2, t_ccd_l=4, t_rrd_s=4, t_rrd_l=4, t_faw=15, t_rtp=6, t_wr=16, t_wtr_s=6,
         t_wtr_l=8, t_turn=2, t_rfc=260, t_refi=3900),
    Dram("sdram-133", "Micron MT48LC16M16A2-7E (256 Mb, 16 bits, 4 banks, 512 columns), data sheet, CK of 7.5 ns: "
         "CL 2, tRCD and tRP 15 ns, tRAS 37 ns, tRC 60 ns, tRRD 14 ns, tWR 14 ns, tRFC 66 ns, 8192 refreshes in 64 ms; "
         "a read may follow written data at once; bursts of one transfer, which follow each other without a gap; no "
         "latency of a PHY, as the chip's pins are registers of the controller",
         ck_mhz=400 / 3, banks=4, row_bursts=512, burst_bits=16, t_cl=2, t_rcd=2, t_rp=2, t_ras=5, t_rc=8, t_rrd_s=2,
         t_rrd_l=2, t_rtp=1, t_wr=2, t_turn=1, t_rank=1, t_rfc=9, t_refi=1041),
    Dram("ideal", "no memory: a word every cycle, one cycle after its access"),
    Dram("paper", "our fit, T = 1.0399 beats + 255, to the two cycle counts that SeedLM's authors publish (arXiv "
         "2410.10714, the FPGA experiment, 2048 x 2048: 136,559 in FP16, 34,331 with 4 bits), beats of the weights "
         "alone: 16 of every 417 cycles lost, 1 / (1 - 16/417) = 1.0399; 255 cycles from request to first word, of "
         "which the model's queue takes 2",
         t_cl=252, t_rfc=16, t_refi=417),
)}
"""The memories that commands know, by name; the source of each number stands beside it. Each refreshes as an ordinary
controller of its kind does: all banks at once, for LPDDR5 the banks in turn."""

_LPDDR4, _LPDDR5, _HBM2 = (PRESETS[name] for name in ("lpddr4-2400", "lpddr5-6400", "hbm2"))

VARIANTS = {dram.name: dram for dram in (
    replace(_LPDDR4, name="lpddr4-2400-perbank", source=f"{_LPDDR4.source}; refreshes of single banks in turn: tRFCpb "
            "half of tRFCab and tREFI an eighth, as in JESD209-4 for 8 Gb, tPBR2PBR 90 ns, to an activate tRRD",
            t_rfc_bank=196, t_refi_bank=1082, t_pbr2pbr=108, t_pbr2act=8),
    replace(_LPDDR5, name="lpddr5-6400-allbank", source=f"{_LPDDR5.source}; refreshes of all banks",
            t_rfc_bank=0, t_refi_bank=0, refresh_banks=1, t_pbr2pbr=0, t_pbr2act=0),
    replace(_LPDDR5, name="lpddr5-6400-hidden", source=f"{_LPDDR5.source}; the controller knows which banks a "
            "sequential stream will reach last, and refreshes these", refresh_hidden=True),
    replace(_HBM2, name="hbm2-perbank", source=f"{_HBM2.source}; refreshes of single banks in turn: tRFCSB 160 ns, "
            "tRREFD 8 ns to the next refresh and to an activate, tREFI a sixteenth (JESD235, as in Ramulator 2, "
            "hbm2.py)",
            t_rfc_bank=160, t_refi_bank=243, t_pbr2pbr=8, t_pbr2act=8),
)}
"""The same memories under other refreshes, by name: commands take them where they are named."""


def preset(name: str) -> Dram:
    """The memory called ``name``.

    Raises
    ------
    ToolError
        When there is no memory of that name; the message lists those that there are.
    """
    known = PRESETS | VARIANTS
    if name not in known:
        raise ToolError(f"unknown memory {name!r}: MEMORY must be one of {', '.join(known)}")
    return known[name]
