"""Parts that tests of the SDRAM controller and of the chip's model share: small, and soon powered up."""

from dataclasses import replace

from hw.sdram.part import MT48LC16M16A2_75

PART = replace(MT48LC16M16A2_75, row_bits=5, power_up_us=5)
ODD = replace(PART, name="odd", t_rcd=37, t_rp=53, t_ras=81, t_rc=170, t_rrd=59, t_wr=41, t_rfc=123, t_refi=3000,
              t_mrd_ck=3, power_up_refreshes=5)
"""No time is the sum of others; at 133 MHz most are rounded up."""
