"""Rows of ``host bench-encode --device``: speeds of search, compression and decoder on a PyTorch device."""

from host.tables.row import Row, column

__all__ = ["DeviceEncoderRow"]


class DeviceEncoderRow(Row):
    """The speed of the search in PyTorch on a device, in a format and mode."""

    VIEW = ("format", "mode", "device", "blocks_per_s", "host_blocks_per_s", "compress_blocks_per_s",
            "cpu_blocks_per_s", "cpu_ratio", "product_fraction", "memory_gb", "decode_gb_per_s", "checked", "different")
    LABEL = "{format} ({mode}) on {device}"

    format: str = column("format", doc="Format of the weights.")
    mode: str = column("mode", doc="Mode of the search: exact, or with rounded codes (paper, printed).")
    device: str = column("device", doc="The device.")
    blocks_per_s: float = column("blocks/s", ",.0f", unit="blocks/s",
                                 doc="Blocks searched a second, of weights that are on the device.")
    host_blocks_per_s: float = column("from the host", ",.0f", unit="blocks/s",
                                      doc="The same of weights in the host's memory, float32.")
    compress_blocks_per_s: float = column("compress, blocks/s", ",.0f", unit="blocks/s", doc="The same of `compress`, "
                                          "from a safetensors file to a finished folder.")
    cpu_blocks_per_s: float = column("CPUs, blocks/s", ",.0f", unit="blocks/s",
                                     doc="Blocks a second of the encoder for processors, on the same machine.")
    cpu_ratio: float = column("times CPUs", ".1f", doc="How many times as fast as the processors the device is.")
    product_fraction: float = column("of the product", ".0%",
                                     doc="Share of the rate of the matrix product alone, which gives the bounds.")
    memory_gb: float = column("memory, GB", ".1f", unit="GB", doc="Most memory of the device that was in use.")
    decode_gb_per_s: float = column("decoded, GB/s", ",.1f", unit="GB/s", doc="Weights in float16 that the decoder "
                                    "makes of a stream on the device.")
    checked: int = column("checked", ",d", doc="Blocks whose error was compared with that on the processors.")
    different: int = column("different", ",d", doc="Blocks whose error differs in the last bits.")
