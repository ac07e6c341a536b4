# Each target sets up what it needs. The steps are scripts in tools/.

.DEFAULT_GOAL := help
.PHONY: help run stop dev test faults example load bench cluster cluster-down pictures sqlx setup

help: ## Say what can be run
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

run: ## Build Pilothouse and start it; says where it is and how to sign in
	@tools/run

stop: ## Stop what `make run` started; what it deployed stays
	@tools/stop

dev: ## Like run, then rebuild and reload whenever a file changes
	@tools/dev

test: ## Run the whole gate: format, lints, tests, browser journeys, licences, advisories
	@tools/test

faults: ## Kill, stop and cut off whatever can be, in every phase of a rollout (make test does a part)
	@tools/faults

example: ## Build the images of the example service, without any registry
	@tools/example

load: ## Put load on a service: make load URL=http://... OPTIONS="--rate 500 --seconds 30"
	@tools/load "$(URL)" $(OPTIONS)

bench: ## Measure: a request in the router and in HAProxy, a switch on a cluster, a second of samples
	@tools/bench

cluster: ## Start a real Kubernetes cluster of one node, for trying things out; says where its kubeconfig is
	@tools/cluster up
	@echo 'Its registry for Docker here and for the cluster:  tools/cluster registry DIR'
	@echo 'To end it:                                         make cluster-down'

cluster-down: ## End what `make cluster` started, and remove all of it
	@tools/cluster down

pictures: ## Take the screenshots of the README, of the real program (after make test)
	@cd end2end && npx --no-install playwright test --config pictures.config.ts

sqlx: ## Check every query against the migrations, and keep the answers in .sqlx
	@tools/sqlx

setup: ## Only install and start what the others need
	@tools/setup all
