"""Rows of ``host perplexity``: what a model says with weights of a code."""

from host.tables.row import Row, column

__all__ = ["PerplexityRow"]


class PerplexityRow(Row):
    """What a model says of a text with weights of one code, beside what it says with the weights that it is shipped
    with. Errors are standard errors over windows of the text."""

    VIEW = ("variant", "bits_per_weight", "model_bits", "weight_error", "perplexity", "perplexity_error", "increase",
            "increase_error", "kl", "kl_error", "top1", "top1_error", "tokens")
    LABEL = "{model} {variant}"

    model: str = column("model", doc="The model.")
    variant: str = column("variant", doc="How the matrices of the decoder layers are stored and multiplied.")
    family: str = column("family", doc="What a line of the charts joins.")
    bits_per_weight: float = column("bits", ".3f", unit="bits/weight",
                                    doc="Stored bits for one weight of these matrices, scales and padding included.")
    model_bits: float = column("whole model", ".3f", unit="bits/weight",
                               doc="Stored bits for one weight of the whole model, of which everything else, such as "
                                   "embeddings and norms, is stored in 16 bits; of the variant as shipped, as it is "
                                   "stored.")
    weight_error: float = column("weight error", ".4f", doc="‖ŵ - w‖ / ‖w‖ over all of these matrices.")
    perplexity: float = column("perplexity", ".2f", doc="Exponential of a token's mean negative log likelihood.")
    perplexity_error: float | None = column("± perplexity", ".2f", doc="Standard error of the perplexity.")
    increase: float = column("increase", ".1%", doc="By how much the perplexity is above that of the shipped model.")
    increase_error: float | None = column("± increase", ".1%", doc="Standard error of the increase, of paired windows.")
    kl: float = column("KL", ".4f", unit="nats", doc="Mean divergence of the predictions from the shipped model's.")
    kl_error: float | None = column("± KL", ".4f", unit="nats", doc="Standard error of the divergence.")
    top1: float = column("same first", ".1%", doc="Share of predictions whose likeliest token is the shipped model's.")
    top1_error: float | None = column("± same first", ".1%", doc="Standard error of that share.")
    tokens: int = column("tokens", ",d", unit="tokens", doc="Predictions that were measured.")
