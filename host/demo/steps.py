"""The steps of :func:`host.demo.demo.demo`, as it names them, with about what each takes on two cores."""

from host.display.meter import Step

__all__ = ["demo_steps"]


def demo_steps(tokens: int) -> list[Step]:
    """Return the steps until so many tokens are said, and until the model has said them without the engine."""
    return [Step(("prepare ", "compress "), 60, counted="prepare "), Step(("build the simulator",), 25),
            Step(("load ",), 5, counted="load "), Step(("the prompt",), 30),
            *(Step((f"token {number}: ",), 10, "token", f"token {number}: ") for number in range(1, tokens + 1)),
            Step(("the model as it is",), 5)]
