# Several cmcwh with the engines of port/scale around them.

.PHONY: scale-test scale-bench

#: make scale-test   four of them with HAProxy, nginx, Redis, RabbitMQ, rsyslog; make scale-bench: how fast
scale-test: $(OUT)/cmcwh
	@python3 tests/scale/run.py --cmcwh $(OUT)/cmcwh

scale-bench: $(OUT)/cmcwh
	@python3 tests/scale/rates.py $(OUT)/cmcwh
