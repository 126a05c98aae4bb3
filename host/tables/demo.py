"""Rows of ``host demo``: a token whose linear layers the engine has computed."""

from host.tables.row import Row, column

__all__ = ["DemoRow"]


class DemoRow(Row):
    """A generated token. Cycles and bytes are those of all its linear layers."""

    VIEW = ("number", "text", "cycles", "bytes", "limit_fraction", "tokens_per_s", "fp16_tokens_per_s", "speedup",
            "bit_exact")
    LABEL = "token {number}"

    number: int = column("#", "d", doc="Which generated token it is.")
    token: int = column("token", "d", doc="Number of the token in the model's vocabulary.")
    text: str = column("text", doc="What the token adds to the text.")
    format: str = column("format", doc="Format of the weights.")
    memory: str = column("memory", doc="Memory preset.")
    cycles: int = column("cycles", ",d", unit="cycles", doc="Cycles of all runs of the token, simulated in RTL.")
    bytes: int = column("bytes", ",d", unit="bytes", doc="Bytes that these runs read and write.")
    limit_fraction: float = column("of limit", ".1%", doc="Share of the rate at which the memory delivers one long "
                                                          "sequential read.")
    tokens_per_s: float | None = column("tokens/s", ".1f", unit="tokens/s",
                                        doc="Tokens a second of the linear layers, at the clock of the memory's "
                                            "controller, at which no engine has been placed.")
    fp16_cycles: int = column("FP16 cycles", ",d", unit="cycles",
                              doc="Cycles of a token in FP16 by the cycle model, which tests hold against RTL.")
    fp16_tokens_per_s: float | None = column("FP16 tokens/s", ".1f", unit="tokens/s",
                                             doc="Tokens a second in FP16, by the cycle model.")
    speedup: float = column("speed-up", ".3f", doc="FP16's cycles divided by this format's.")
    bit_exact: bool = column("exact", doc="Whether all logits equal those of golden's linear layers, bit for bit.")
    source: str = column("source", doc="How the cycles were obtained.")
