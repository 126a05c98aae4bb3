"""An example of each command, which ends its help. Tests parse all of them."""

__all__ = ["EXAMPLES"]

EXAMPLES = {
    "sim": "sim --model /path/to/model --layer 3 --bus 256",
    "sim-paper": "sim-paper --memory ddr4-2400 --wide",
    "roofline": "roofline --memories 'ddr4-2400 hbm2' --wide",
    "memories": "memories --json > memories.json",
    "timeline": "timeline --layer 3 --format seedlm3",
    "demo": "demo --prompt 'Name a colour.' --tokens 8 --wide",
    "registers": "registers > registers.md",
    "verilog": "verilog --formats seedlm4 --bus 128",
    "ip": "ip --format seedlm4 --bus 128 --out /path/to/core",
    "compress": "compress /path/to/model /path/to/folder --bits 3.5",
    "decompress": "decompress /path/to/folder /path/to/plain --dtype bf16",
    "inspect": "inspect /path/to/folder --json",
    "seal": "seal /path/to/folder",
    "bench-encode": "bench-encode --formats seedlm4 --modes 'exact paper'",
    "bench-sim": "bench-sim --formats seedlm4 --rows 1024 --cols 1024",
    "quality": "quality /path/to/model --rows 64 --out /path/to/report",
    "perplexity": "perplexity --variants 'int4-g128 seedlm4' --windows 4",
    "evaluate": "evaluate /path/to/folder --tasks questions.jsonl",
    "explore": "explore --model /path/to/model --bits '4 3.5 3'",
    "area": "area --configs 'fp16 seedlm4-256dsp'",
    "pnr": "pnr --config seedlm4-128-g6 --seed 2",
    "bitstream": "bitstream --board ulx3s_85f --format seedlm4",
    "run": "run --device serial:/dev/ttyUSB0 --format seedlm4",
    "run-simulated": "run-simulated --rows 64 --cols 64 --formats seedlm4",
    "sweep": "sweep --models 'Llama-3-8B Llama-3.2-1B' --json",
    "report": "report",
    "release": "release --bitstreams none --out /path/to/folder",
    "results": "results --parts 'sim roofline'",
}
"""By name of the command, as a shell takes it after the name of the program."""
