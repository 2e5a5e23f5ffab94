# make book, make test: each needs only Python 3.11+ and make; the rest is installed into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
JOBS   ?= $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 4 ] && echo 4 || echo $$n)

# One BLAS thread, CPU only: stored outputs come out the same on every run.
export TF_CPP_MIN_LOG_LEVEL = 3
export TF_ENABLE_ONEDNN_OPTS = 0
export CUDA_VISIBLE_DEVICES = -1
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export MPLBACKEND = agg
export MLCHEAT_HOME = $(CURDIR)/_build/home
export PYTHONHASHSEED = 0
export LITE
export PYDEVD_DISABLE_FILE_VALIDATION = 1

.PHONY: book cards book-zip accessibility test-package test run check export bench serve clean edit

$(STAMP): settings.ini setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	mkdir -p $(VENV)/etc/ipython
	printf 'c.IPKernelApp.capture_fd_output = False\nc.Application.log_level = 40\n' > $(VENV)/etc/ipython/ipython_kernel_config.py
	touch $@

book: $(STAMP)          ## build the book into _build/html; LITE=1: with notebooks that run in the browser
	@test -f _build/html/searchindex.js || rm -rf _build/.doctrees    # an interrupted build is begun anew
	$(BIN)/jupyter-book build . --warningiserror --nitpick --keep-going --quiet
ifdef LITE
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[lite]'
	$(BIN)/python -m tools.lite _build/html/lite
endif
	@echo "The book: $(CURDIR)/_build/html/index.html"

cards: $(STAMP)         ## print the cheat cards of the built book as PDF, A4 and Letter; needs chromium
	$(BIN)/python -m tools.cards_pdf _build/html

book-zip: book cards    ## the book as one archive that opens from disk
	$(BIN)/python -m tools.book_zip _build/html _build/mlcheat-book.zip

accessibility: book     ## axe-core over every page of the book
	$(BIN)/python -m tools.accessibility _build/html

CONSTRAINTS ?= /dev/null
test-package:           ## the package without TensorFlow on PYTHON, with the versions of CONSTRAINTS
	rm -rf _build/package && $(PYTHON) -m venv _build/package
	_build/package/bin/pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) . pytest
	cd _build && package/bin/python -m pytest -q -p no:cacheprovider -c /dev/null --doctest-modules \
	  --doctest-ignore-import-errors -o doctest_optionflags=NORMALIZE_WHITESPACE -k 'not keras_bridge' --pyargs mlcheat

test: check             ## prove everything
	$(BIN)/python -m pytest -n $(JOBS)

run: $(STAMP)           ## execute notebooks and store their outputs; NB=nbs/... for one
	$(BIN)/python -m tools.export $(NB)
	$(BIN)/python -m tools.run_nbs $(NB)
	$(BIN)/python -m tools.export $(NB)

export: $(STAMP)        ## write mlcheat/ and README.md from the notebooks
	$(BIN)/python -m tools.export

edit: $(STAMP)          ## NB=nbs/x.ipynb: write work/x.py for editing, or take it back with TAKE=1
	$(BIN)/python -m tools.edit $(if $(TAKE),take,give) $(NB)

check: $(STAMP)         ## the notebooks, the package and the ledger agree
	$(BIN)/python -m tools.checks

bench: $(STAMP)         ## speed against the peers; ITEM=name for one
	$(BIN)/python -m bench $(ITEM)

serve: book             ## read the book at http://localhost:8000
	$(BIN)/python -m http.server --directory _build/html 8000

clean:
	rm -rf $(VENV) _build dist build *.egg-info .pytest_cache .hypothesis book/api
