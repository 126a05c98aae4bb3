"""What ``seedlm-fpga compress`` prints of a compression: at most eight lines of 80 characters."""

from host.compress.account import Account
from host.printable import printable

__all__ = ["account_lines"]

_WIDTH = 80  # characters of a line
_NAMED = 3  # tensors of either kind
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))


def _size(count: int) -> str:
    """Return a number of bytes as people read it."""
    scale, unit = next(((scale, unit) for scale, unit in _UNITS if count >= scale), _UNITS[-1])
    return f"{count / scale:.3g} {unit}" if count < 1000 * scale else f"{count / scale:.0f} {unit}"


def _with_name(start: str, name: str) -> str:
    """Return a line that ends with the name of a tensor, of which the beginning is left out where it is too long."""
    shown = printable(name)
    room = _WIDTH - len(start)
    return start + (shown if len(shown) <= room else f"...{shown[3 - room:]}")


def account_lines(account: Account) -> list[str]:
    """Return the lines: sizes, the tensors that lost most, and the largest that are left alone."""
    lines = [f"{_size(account.before)} became {_size(account.after)}: {account.bits:.2f} bits per weight, "
             f"{100 * account.share:.1f} % of matrix bytes compressed"]
    lines += [_with_name(f"  block error {tensor.block_error:.3f}, usual {account.gaussian[tensor.format]:.3f}  ", name)
              for name, tensor in account.errors[:_NAMED]]
    lines += [_with_name(f"  left alone {_size(size):>7}  ", name) for name, size in account.left[:_NAMED]]
    if account.left:
        lines.append("  to compress one of these, too: --include default --include NAME")
    return lines
