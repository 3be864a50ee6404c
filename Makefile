# SPDX-License-Identifier: BSD-3-Clause
# make · make demo · make test · make unit · make conformance · make mutants · make fuzz-world · make lint · make asan
# make fuzz · make format · make bench · make fleet-bench · make queries · make sim · make fleet-sim · make freshness
# make install · make dist · make deb · make deb-test
MODE ?= release
BUILD := build/$(MODE)
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSCONFDIR ?= /etc
VERSION := 0.1.0

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
CC ?= cc
PYTHON := /usr/bin/python3
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2
CFLAGS_debug := -O0 -g
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined -DSANDBOX_INSTRUMENTED=1
CFLAGS_cov := -O0 -g --coverage -DSANDBOX_INSTRUMENTED=1
CFLAGS_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=undefined \
	-DSANDBOX_INSTRUMENTED=1
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wvla \
	-Wformat=2 -Wundef $(if $(CI),-Werror)
CFLAGS += -std=gnu2x $(CFLAGS_$(MODE)) $(WARNINGS) -fvisibility=hidden -fPIC -fstack-protector-strong
# No clock is right that is before it. Without git it is that of the files of make dist: their commit's.
BUILD_TIME := $(or $(SOURCE_DATE_EPOCH),$(if $(wildcard .git),$(shell git log -1 --format=%ct 2>/dev/null)),$(shell stat -c %Y Makefile),0)
CPPFLAGS += -D_GNU_SOURCE -DRESOLVERD_VERSION='"$(VERSION)"' -DRESOLVERD_BUILD_TIME_S=$(BUILD_TIME) -I. -isystem $(BUILD)/gen

pkg = $(shell pkg-config $(1) $(2) 2>/dev/null)
WIRE_LIBS = $(call pkg,--libs,libprotobuf-c libsodium)
DAEMON_LIBS = $(call pkg,--libs,libunbound libevent_core libconfuse libseccomp hiredis) $(WIRE_LIBS) -lresolv
CLIENT_LIBS = $(call pkg,--libs,libidn2) $(WIRE_LIBS)
SERVE_LIBS = $(call pkg,--libs,libevent_core) $(CLIENT_LIBS)
TLS_LIBS = $(call pkg,--libs,libssl libcrypto)
TOOL_LIBS = $(call pkg,--libs,jansson ldns) $(TLS_LIBS) $(CLIENT_LIBS)

objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $(1)))
GENERATED := $(foreach name,resolverd worker fleet,$(BUILD)/gen/$(name).pb-c.o)
WIRE := $(call objects,proto/*.c) $(GENERATED)
DAEMON := $(call objects,resolverd/base/*.c resolverd/supervisor/*.c resolverd/server/*.c resolverd/worker/*.c \
	resolverd/anchor/*.c resolverd/fleet/*.c)
CLIENT := $(call objects,client/lib/*.c)
CLIENT_TLS := $(call objects,client/openssl/*.c proto/tlsa_set.c)
EVIDENCE := $(call objects,client/evidence/*.c) $(BUILD)/gen/evidence.pb-c.o
DNS := $(call objects,client/dns/*.c)
SERVE := $(call objects,client/serve/*.c)
STUB := $(call objects,client/stub/*.c)
WEB := $(call objects,client/web/*.c)
SHIM := $(call objects,client/shim/*.c)
POSTFIX := $(filter-out %/main.o,$(call objects,client/postfix/*.c))
CTL := $(call objects,client/ctl/*.c)
SMTP := $(call objects,client/smtp/*.c)
DANESEND := $(filter-out %/main.o,$(call objects,client/danesend/*.c))
BENCH := $(patsubst tests/bench/%.c,$(BUILD)/bench-%,$(wildcard tests/bench/*.c))
RESULTS := $(BUILD)/results# of the tests, for conformance
EXAMPLES := $(patsubst docs/examples/%.c,$(BUILD)/examples/%,$(wildcard docs/examples/*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
SCRIPTS := $(BUILD)/sim/script $(wildcard tests/sim/scripts/*.sim)

CLIENT_ARCHIVES := $(BUILD)/libpostfix.a $(BUILD)/libserve.a $(BUILD)/libdns.a $(foreach name,-evidence -openssl,$(BUILD)/libresolverd$(name).a) $(BUILD)/libresolverd.a
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
TIME ?= 60

PROGRAMS := $(BUILD)/resolverd $(BUILD)/resolverctl $(BUILD)/danesend $(BUILD)/resolverd-stub $(BUILD)/resolverd-postfix $(BUILD)/resolverd-web
LIBRARIES := $(foreach name,libresolverd libresolverd-openssl,$(BUILD)/$(name).so.0 $(BUILD)/$(name).a) \
	$(BUILD)/libresolverd-evidence.a
PRELOADED := $(BUILD)/libresolverd-shim.so
UNITS := $(wildcard systemd/*.service systemd/*.socket systemd/*.mount)

.PHONY: all deps demo test unit system conformance mutants fuzz-world asan fuzz run-fuzzers lint format bench bench-quick fleet-bench queries sim fleet-sim freshness chaos web-test install dist deb deb-test clean
all: $(PROGRAMS) $(LIBRARIES) $(PRELOADED)

deps:
	@tests/deps.sh

demo: deps
	@$(MAKE) --no-print-directory all
	@tests/world/run.py -- $(PYTHON) tests/demo.py $(BUILD) $(DOMAIN)

# All tests. The second make is so that pkg-config is asked after deps installed it.
test: deps
	@$(MAKE) --no-print-directory unit system
	@$(PYTHON) tests/conformance/mutants.py --check
	@$(PYTHON) tests/conformance/conformance.py --brief $(RESULTS)
unit: $(UNIT_TESTS) $(SCRIPTS) $(BUILD)/sim/fleet
	@mkdir -p $(RESULTS) && rm -f $(RESULTS)/unit-*.log
	@r=0; for t in $(UNIT_TESTS); do $$t 2>&1 | tee $(RESULTS)/unit-$${t##*/}.log || r=1; done; \
		$(SCRIPTS) 2>&1 | tee $(RESULTS)/unit-sim.log || r=1; \
		$(BUILD)/sim/fleet check 2>&1 | tee $(RESULTS)/unit-sim-fleet.log || r=1; exit $$r
system: all $(EXAMPLES) $(BUILD)/python/resolverd/resolverd_pb2.py $(BUILD)/node/lib/resolverd.proto $(BUILD)/gen/resolverd_pb2.py $(BUILD)/gen/evidence_pb2.py $(BUILD)/gen/fleet_pb2.py $(BUILD)/tests/record-delivery $(BUILD)/tests/resolver-calls
	@BUILD_DIR=$(CURDIR)/$(BUILD) $(PYTHON) tests/run_files.py $(RESULTS) tests/system tests/world tests/conformance
	@$(MAKE) --no-print-directory fuzz-world SEED=2 COUNT=150

# The cases of docs/CONFORMANCE.md, each with what its tests said; WRITE=1 writes that file anew.
conformance:
	@$(MAKE) --no-print-directory -k unit system; r=$$?; \
		$(PYTHON) tests/conformance/conformance.py $(if $(WRITE),--write) $(RESULTS) && exit $$r
# Removes one rule after the other and sees that a test of its case fails. MUTANT="F05 J01": those only.
mutants: export MUTANT_COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) -U_FORTIFY_SOURCE -O0 -w -c
mutants: export MUTANT_LINK = $(CC) $(CFLAGS) $(LDFLAGS)
mutants: export MUTANT_LIBS = -lcmocka -ljansson $(CLIENT_LIBS) $(DAEMON_LIBS)
mutants: $(UNIT_TESTS)
	@$(PYTHON) tests/conformance/mutants.py $(BUILD) $(MUTANT)

# A random world and every verdict in it against a reference. ORACLE=1: the reference's lookups against unbound, too.
COUNT ?= 400
ifndef SEED
SEED := $(shell od -An -N3 -tu4 /dev/urandom | tr -d ' ')
endif
fuzz-world: all $(BUILD)/gen/resolverd_pb2.py
	@echo "make fuzz-world SEED=$(SEED) COUNT=$(COUNT)"
	@$(PYTHON) tests/fuzz-world/generate.py --seed $(SEED) --count $(COUNT) > $(BUILD)/fuzz-world.json
	@BUILD_DIR=$(CURDIR)/$(BUILD) tests/world/run.py --data $(BUILD)/fuzz-world.json -- \
		$(PYTHON) tests/fuzz-world/compare.py $(if $(ORACLE),--oracle) $(BUILD)/fuzz-world.json

asan:
	@$(MAKE) --no-print-directory MODE=asan unit system

# Each fuzzer for TIME seconds, from tests/fuzz/corpus/NAME; what it finds goes below build/fuzz.
fuzz:
	@command -v clang >/dev/null || { echo "fuzz: install clang and libclang-rt-14-dev" >&2; exit 1; }
	@$(MAKE) --no-print-directory MODE=fuzz CC=clang run-fuzzers
run-fuzzers: $(FUZZERS)
	@set -e; for f in $(FUZZERS); do name=$${f##*/fuzz_}; mkdir -p $(BUILD)/found/$$name; \
		echo "fuzz: $$name, $(TIME) s"; $$f -max_total_time=$(TIME) -rss_limit_mb=512 -timeout=10 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix=$(BUILD)/found/$$name- $(BUILD)/found/$$name tests/fuzz/corpus/$$name; done

$(BUILD)/resolverd: $(BUILD)/obj/resolverd/main.o $(BUILD)/libdaemon.a $(BUILD)/libwire.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(DAEMON_LIBS)
$(BUILD)/resolverctl: $(CTL) $(BUILD)/libdelivery.a $(CLIENT_ARCHIVES)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(TOOL_LIBS)
$(BUILD)/danesend: $(BUILD)/obj/client/danesend/main.o $(BUILD)/libdelivery.a $(CLIENT_ARCHIVES)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(TOOL_LIBS)
$(BUILD)/resolverd-stub: $(STUB) $(BUILD)/libserve.a $(BUILD)/libdns.a $(BUILD)/libresolverd.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(SERVE_LIBS)
$(BUILD)/resolverd-postfix: $(BUILD)/obj/client/postfix/main.o $(BUILD)/libpostfix.a $(BUILD)/libserve.a $(BUILD)/libresolverd.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(SERVE_LIBS)
$(BUILD)/resolverd-web: $(WEB) $(BUILD)/libserve.a $(BUILD)/libresolverd.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(SERVE_LIBS) -levent_extra
$(BUILD)/libresolverd.so.0: $(CLIENT) $(WIRE) client/lib/exports.map
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libresolverd.so.0 \
		-Wl,--version-script,client/lib/exports.map -o $@ $(CLIENT) $(WIRE) $(CLIENT_LIBS)
	ln -sf libresolverd.so.0 $(BUILD)/libresolverd.so
$(BUILD)/libresolverd-openssl.so.0: $(CLIENT_TLS) client/openssl/exports.map
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libresolverd-openssl.so.0 \
		-Wl,--version-script,client/openssl/exports.map -o $@ $(CLIENT_TLS) $(TLS_LIBS)
	ln -sf libresolverd-openssl.so.0 $(BUILD)/libresolverd-openssl.so
$(BUILD)/libresolverd-shim.so: $(SHIM) $(BUILD)/libdns.a $(BUILD)/libresolverd.a client/shim/exports.map
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,libresolverd-shim.so \
		-Wl,--version-script,client/shim/exports.map -o $@ $(filter-out %.map,$^) $(CLIENT_LIBS)
$(BUILD)/libresolverd.a: $(CLIENT) $(WIRE)
$(BUILD)/libresolverd-openssl.a: $(CLIENT_TLS)
$(BUILD)/libresolverd-evidence.a: $(EVIDENCE)
$(BUILD)/libdaemon.a: $(DAEMON)
$(BUILD)/libdns.a: $(DNS)
$(BUILD)/libserve.a: $(SERVE)
$(BUILD)/libpostfix.a: $(POSTFIX)
$(BUILD)/libdelivery.a: $(SMTP) $(DANESEND)
$(BUILD)/libwire.a: $(WIRE)
$(BUILD)/%.a:
	rm -f $@ && ar rcs $@ $^

$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libdaemon.a $(BUILD)/libdelivery.a $(CLIENT_ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(TOOL_LIBS) $(DAEMON_LIBS)
$(BUILD)/sim/%: $(BUILD)/obj/tests/sim/%.o $(BUILD)/obj/tests/sim/sim.o $(BUILD)/obj/tests/sim/trace.o $(BUILD)/libdaemon.a $(BUILD)/libwire.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) -lm $(DAEMON_LIBS)
$(BUILD)/sim/fleet: $(BUILD)/obj/tests/sim/fleet_sim.o $(BUILD)/obj/tests/sim/fleet_formula.o
$(BUILD)/tests/record-delivery: $(BUILD)/obj/tests/system/record_delivery.o $(CLIENT_ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(TOOL_LIBS)
# Nothing of ours in it: the shim comes by LD_PRELOAD.
$(BUILD)/tests/resolver-calls: $(BUILD)/obj/tests/system/resolver_calls.o
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lresolv
$(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/libdaemon.a $(BUILD)/libdelivery.a $(CLIENT_ARCHIVES)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(TOOL_LIBS) $(DAEMON_LIBS)
# As after an installation: by the names of the installed headers and libraries.
$(BUILD)/examples/%: docs/examples/%.c $(LIBRARIES)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Iclient -Iclient/openssl $(CFLAGS) $(LDFLAGS) -o $@ $< -L$(BUILD) \
		-Wl,-rpath,$(CURDIR)/$(BUILD) -lresolverd-openssl -lresolverd $(TLS_LIBS)
$(BUILD)/bench-libunbound: $(BUILD)/obj/tests/bench/libunbound.o $(BUILD)/libdaemon.a $(BUILD)/libwire.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(DAEMON_LIBS)
$(BUILD)/bench-%: $(BUILD)/obj/tests/bench/%.o $(BUILD)/libdaemon.a $(BUILD)/libresolverd.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(CLIENT_LIBS)

$(BUILD)/obj/%.o: %.c Makefile $(addprefix $(BUILD)/gen/,resolverd.pb-c.h worker.pb-c.h evidence.pb-c.h fleet.pb-c.h)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
# The files of the page as arrays in C, style.css as style_css.
$(BUILD)/obj/client/web/http.o: $(addprefix $(BUILD)/gen/,style.css.h icon.svg.h)
$(BUILD)/gen/%.h: client/web/page/%
	@mkdir -p $(@D)
	(echo 'static const unsigned char $(subst .,_,$*)[] = {'; od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g'; echo '};') > $@
$(BUILD)/gen/%.pb-c.o: $(BUILD)/gen/%.pb-c.c $(BUILD)/gen/resolverd.pb-c.h
	$(CC) $(CPPFLAGS) $(filter-out -W%,$(CFLAGS)) -c -o $@ $<
$(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h: proto/%.proto
	@mkdir -p $(@D)
	protoc-c -Iproto --c_out=$(BUILD)/gen $<
$(BUILD)/gen/%_pb2.py: proto/%.proto
	@mkdir -p $(@D)
	protoc -Iproto --python_out=$(BUILD)/gen $<
# The Python package as it is installed (client/python/setup.py): its files, and the protocol's.
PYTHON_CLIENT := $(wildcard client/python/resolverd/*.py) client/python/resolverd/py.typed
$(BUILD)/python/resolverd/resolverd_pb2.py: proto/resolverd.proto $(PYTHON_CLIENT) Makefile
	@rm -rf $(@D) && mkdir -p $(@D) && cp $(PYTHON_CLIENT) $(@D)/
	protoc -Iproto --python_out=$(@D) --pyi_out=$(@D) $<
# The Node package as it is installed, with what it needs; package-lock.json says of what.
NODE_CLIENT := $(wildcard client/node/lib/* client/node/test/* client/node/examples/*)
$(BUILD)/node/node_modules/.package-lock.json: client/node/package.json client/node/package-lock.json
	@rm -rf $(BUILD)/node && mkdir -p $(BUILD)/node && cp $^ $(BUILD)/node/
	cd $(BUILD)/node && npm ci --prefer-offline --ignore-scripts --no-audit --no-fund --loglevel=error && touch node_modules/.package-lock.json
$(BUILD)/node/lib/resolverd.proto: proto/resolverd.proto $(NODE_CLIENT) $(BUILD)/node/node_modules/.package-lock.json
	@cd $(BUILD)/node && rm -rf lib test examples && cp -r $(addprefix $(CURDIR)/client/node/,lib test examples) .
	@cp $< $@
.PRECIOUS: $(BUILD)/gen/%.pb-c.c $(BUILD)/gen/%.pb-c.h $(BUILD)/obj/%.o

SOURCES := $(shell git ls-files '*.c' '*.h' 2>/dev/null)
format:
	clang-format -i $(SOURCES)
lint: $(LIBRARIES) $(PRELOADED) $(GENERATED) $(addprefix $(BUILD)/gen/,style.css.h icon.svg.h)
	@command -v clang-format clang-tidy >/dev/null || { echo "lint: install clang-format and clang-tidy" >&2; exit 1; }
	clang-format --dry-run --Werror $(SOURCES)
	tests/lint.sh $(BUILD)
	clang-tidy --quiet $(filter %.c,$(filter-out tests/%,$(SOURCES))) -- $(CPPFLAGS) -Iclient -Iclient/openssl -std=gnu2x 2>/dev/null

# Figures as ratios of one run, into build/bench.json; bench-quick: the same rows, smaller. GROUP="hot cold": those only.
bench: all $(BENCH) $(BUILD)/gen/resolverd_pb2.py
	@BUILD_DIR=$(CURDIR)/$(BUILD) tests/world/run.py --bulk 2000 -- $(PYTHON) tests/bench/bench.py $(GROUP)
bench-quick: all $(BENCH) $(BUILD)/gen/resolverd_pb2.py
	@BUILD_DIR=$(CURDIR)/$(BUILD) tests/world/run.py --bulk 500 -- $(PYTHON) tests/bench/bench.py --quick $(GROUP)

# What a fleet of real daemons saves and costs, into build/fleet.json. QUICK=1: four members and fewer names.
fleet-bench: all $(BENCH) $(BUILD)/gen/resolverd_pb2.py
	@tests/deps.sh redis-server
	@BUILD_DIR=$(CURDIR)/$(BUILD) tests/world/run.py --bulk $(if $(QUICK),500,5000) -- $(PYTHON) tests/bench/fleet_bench.py $(if $(QUICK),--quick)

# Days of a mail system's questions in a minute, with each rule of prefetch. CHART=1 draws docs/prefetch.svg anew.
sim: $(BUILD)/sim/load
	@$(PYTHON) tests/sim/sim.py $< $(if $(CHART),--chart)

# Up to 1,000 simulated daemons with a store and without, in minutes; docs/SCALING.md. QUICK=1: smaller fleets; SEED=7: other mails.
fleet-sim: $(BUILD)/sim/fleet
	@$(PYTHON) tests/sim/fleet_sim.py $< $(if $(filter command environment,$(firstword $(origin SEED))),--seed $(SEED)) $(if $(QUICK),--quick)

# The real daemon on short TTLs: misses, upstream queries, warming. QUICK=1: a smaller world, less of it.
freshness: all $(BENCH) $(BUILD)/gen/resolverd_pb2.py
	@$(PYTHON) tests/bench/freshness_world.py $(if $(QUICK),--quick) > $(BUILD)/freshness-world.json
	@BUILD_DIR=$(CURDIR)/$(BUILD) tests/world/run.py --data $(BUILD)/freshness-world.json -- \
		$(PYTHON) tests/bench/freshness.py $(if $(QUICK),--quick)

# The page of resolverd-web in a real browser; heavy, so that "make test" does without. SCREENSHOTS=docs keeps pictures of it.
web-test: all $(BUILD)/gen/resolverd_pb2.py
	@tests/deps.sh chromium nodejs npm
	cd tests/browser && npm ci --no-audit --no-fund --silent
	@BUILD_DIR=$(CURDIR)/$(BUILD) SCREENSHOTS=$(if $(SCREENSHOTS),$(abspath $(SCREENSHOTS))) tests/world/run.py -- \
		$(PYTHON) -m pytest -q -p no:cacheprovider tests/system/test_web_browser.py

# Faults of every kind for SECONDS, under load, and every answer judged; build/chaos.json. SEED=7: the same faults again.
SECONDS ?= 60
chaos: all $(BUILD)/gen/resolverd_pb2.py $(BUILD)/python/resolverd/resolverd_pb2.py
	@BUILD_DIR=$(CURDIR)/$(BUILD) tests/world/run.py -- unshare --mount $(PYTHON) tests/chaos/chaos.py --seconds $(SECONDS) --seed $(SEED)

# Queries of a cold plan against the fewest, and with one setting of libunbound changed at a time.
queries: all $(BUILD)/gen/resolverd_pb2.py
	@BUILD_DIR=$(CURDIR)/$(BUILD) tests/world/run.py -- $(PYTHON) tests/bench/queries.py --settings

install: all
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include \
		$(DESTDIR)$(LIBDIR)/pkgconfig
	install -m 755 $(BUILD)/resolverd $(BUILD)/resolverd-stub $(BUILD)/resolverd-postfix $(BUILD)/resolverd-web $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(BUILD)/resolverctl $(BUILD)/danesend $(DESTDIR)$(PREFIX)/bin/
	install -m 644 client/resolverd.h $(DESTDIR)$(PREFIX)/include/
	set -e; for header in client/openssl/resolverd-openssl.h client/evidence/resolverd-evidence.h; do \
		sed 's|"client/resolverd.h"|<resolverd.h>|' $$header > $(DESTDIR)$(PREFIX)/include/$${header##*/}; done
	install -m 644 $(filter %.a,$(LIBRARIES)) $(DESTDIR)$(LIBDIR)/
	install -m 755 $(filter %.so.0,$(LIBRARIES)) $(PRELOADED) $(DESTDIR)$(LIBDIR)/
	set -e; for pc in client/lib/libresolverd client/openssl/libresolverd-openssl; do name=$${pc##*/}; \
		ln -sf $$name.so.0 $(DESTDIR)$(LIBDIR)/$$name.so; \
		sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' $$pc.pc.in \
			> $(DESTDIR)$(LIBDIR)/pkgconfig/$$name.pc; done
	install -d $(DESTDIR)$(UNITDIR) $(addprefix $(DESTDIR)$(PREFIX)/lib/,sysusers.d tmpfiles.d) $(DESTDIR)$(SYSCONFDIR)/resolverd
	set -e; for unit in $(UNITS); do sed 's|@PREFIX@|$(PREFIX)|' $$unit > $(DESTDIR)$(UNITDIR)/$${unit##*/}; done
	install -m 644 systemd/resolverd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/resolverd.conf
	install -m 644 systemd/resolverd.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/resolverd.conf
	set -e; for page in docs/man/*; do install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page; done
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions zsh/vendor-completions fish/vendor_completions.d)
	$(BUILD)/resolverctl completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/resolverctl
	$(BUILD)/resolverctl completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_resolverctl
	$(BUILD)/resolverctl completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/resolverctl.fish
	test -e $(DESTDIR)$(SYSCONFDIR)/resolverd/resolverd.conf || \
		install -m 644 systemd/resolverd.conf $(DESTDIR)$(SYSCONFDIR)/resolverd/

# The committed files (in an unpacked dist: that one's own), the same bytes each time.
DIST := build/resolverd-$(VERSION).tar.gz
dist:
	@systemd/debian/build.sh dist $(DIST) resolverd-$(VERSION)
# Debian's packages out of it, in build/deb, with what lintian says. DEB_VERSION=0.1.1: as that version.
deb: dist
	@tests/deps.sh dpkg-dev debhelper dh-python python3-all python3-setuptools lintian
	@systemd/debian/build.sh packages $(DIST) build/deb $(DEB_VERSION)
# They are built twice, compared, and in a Debian of their own installed, upgraded, removed and purged.
deb-test: deps deb $(addprefix $(BUILD)/gen/,resolverd_pb2.py evidence_pb2.py)
	@tests/packages/run.sh $(DIST) build/deb $(CURDIR)/$(BUILD)

clean:
	rm -rf build

-include $(shell find build/$(MODE) -name '*.d' 2>/dev/null)
