"""The command line. Heavy imports happen inside the commands that need them."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cluster.config import ClusterConfig
from cluster.load import load_config, read_document
from cluster.simulator.policies import SPELLING as POLICIES
from cluster.simulator.trace_names import SPELLING as TRACES
from deployments.cli_calibrate import calibrate
from deployments.cli_drain import EXAMPLES as DRAIN_EXAMPLES
from deployments.cli_drain import drain
from deployments.cli_generate import EXAMPLES, generate
from deployments.cli_keys import keys
from deployments.terminal import ConfigFile, faults_told, out

app = typer.Typer(
    no_args_is_help=True,
    help="Serves Diffusion Transformers in quality tiers on a Ray cluster.",
    pretty_exceptions_enable=False,
)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Serve config files.")],
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Also the cache settings that nobody chose.")
    ] = False,
) -> None:
    """Checks whole config files, Serve's own keys included, without starting Ray.

    Shows where each cache setting of a right one comes from. Exit code 2 when one is wrong.
    """
    from deployments.check import checked_file
    from deployments.settings_lines import settings_lines

    with faults_told():
        for file in files:
            checked = checked_file(file)
            models = ", ".join(
                f"{model.name} ({', '.join(model.tiers)})" for model in checked.config.models
            )
            out.print(f"{file}: right: {models}", highlight=False, soft_wrap=True)
            lines = settings_lines(checked.settings, verbose)
            for line in (*lines, *checked.tables, *checked.secrets, *checked.access):
                out.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command()
def plan(
    file: ConfigFile,
    gpu_memory_gb: Annotated[
        float | None, typer.Option(min=0.1, help="Does a rank fit on a card of so many GB?")
    ] = None,
    nodes: Annotated[
        str | None,
        typer.Option(help="Do all pools fit on such nodes? 2x8: two of 8 GPUs; 2x8x96: and CPUs."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Do they fit on a running Ray cluster? auto, or its address.")
    ] = None,
) -> None:
    """Shows what each pool of a config asks of the cluster and of its cards.

    Starts no Ray. Exit code 1 when something asked about does not fit.
    """
    from deployments.check import checked_config
    from deployments.library_logs import hide_loading_bars, quiet_libraries
    from deployments.plan_table import card_lines, fit_line, memory_notes, plan_table
    from deployments.planning import cluster_fit, declared_nodes, plan_pools, running_nodes

    quiet_libraries()
    with faults_told():
        config = checked_config(file)
        places = declared_nodes(nodes) if nodes else []
        with out.status("Counting parameters"):
            hide_loading_bars()
            plans = plan_pools(config)
        places += running_nodes(address) if address else []
    out.print(plan_table(plans))
    lines = list(memory_notes(plans))
    misfit = False
    if gpu_memory_gb is not None:
        lines += card_lines(plans, gpu_memory_gb)
        misfit = any(each.overflow_bytes(gpu_memory_gb) for each in plans)
    if nodes or address:
        fit = cluster_fit(plans, places)
        lines.append(fit_line(fit, len(places)))
        misfit = misfit or not fit.ok
    for line in lines:
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    if misfit:
        raise typer.Exit(1)


app.command(epilog=EXAMPLES)(generate)
app.command()(calibrate)
app.command(epilog=DRAIN_EXAMPLES)(drain)
app.add_typer(keys, name="keys")


@app.command()
def simulate(
    trace: Annotated[
        list[str] | None,
        typer.Option(help=f"A file of JSON lines, or {TRACES}. poisson:C if none; repeatable."),
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(help=f"{POLICIES}. Repeatable; if none, ours and three others."),
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="Of each pool: 8, or what the config says, if none.")
    ] = None,
    requests: Annotated[int, typer.Option(min=1, help="Of each trace that is no file.")] = 20_000,
    seeds: Annotated[int, typer.Option(min=1, help="So many draws of each such trace.")] = 5,
    config: Annotated[Path | None, typer.Option(help="A Serve config file: its pools.")] = None,
    model: Annotated[
        str | None, typer.Option(help="A model of the config; the first if none.")
    ] = None,
    efficiency: Annotated[
        float, typer.Option(min=0.01, help="Speed of a replica of several ranks, for each rank.")
    ] = 0.85,
    json: Annotated[Path | None, typer.Option(help="Where all numbers go.")] = None,
    write_trace: Annotated[
        Path | None, typer.Option(help="Where the first trace goes, as JSON lines.")
    ] = None,
) -> None:
    """Runs the router's policy and others on the same simulated traffic, side by side.

    Needs no Ray and no model: hours of a cluster take seconds.
    """
    from deployments.progress import request_progress
    from deployments.simulate import (
        DEFAULT_POLICIES,
        DEFAULT_TRACES,
        chosen_fleet,
        chosen_traces,
        planned_runs,
        save_runs,
        save_trace,
    )
    from deployments.simulate_table import report

    with faults_told():
        served = load_config(config, os.environ) if config else None
        fleet = chosen_fleet(served, model, replicas, efficiency)
        traces = chosen_traces(trace or DEFAULT_TRACES, requests, fleet)
        if write_trace is not None:
            save_trace(next(iter(traces.values())), write_trace)
        plan = planned_runs(traces, policy or DEFAULT_POLICIES, seeds)
        with request_progress(out, sum(run.trace.requests for run in plan)) as ended:
            runs = [run.result(fleet, ended) for run in plan]
    for part in report(fleet, runs):
        out.print(part, highlight=False)
    if json is not None:
        save_runs(runs, json)
        out.print(f"Written to {json}", highlight=False, soft_wrap=True)


@app.command()
def up(
    file: ConfigFile,
    port: Annotated[
        int | None, typer.Option(help="Instead of the file's http_options.port.")
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Instead of the file's http_options.host.")
    ] = None,
    log: Annotated[Path | None, typer.Option(help="Where the log of Serve goes.")] = None,
    timeout_s: Annotated[float, typer.Option(help="How long to wait for the models.")] = 1800,
) -> None:
    """Runs `serve run FILE`, tells when it is ready and where to look; Ctrl-C stops all of it."""
    from deployments.auth_lines import auth_lines
    from deployments.check import checked_config
    from deployments.launch import (
        LaunchError,
        address_of,
        running,
        stop_on_signals,
        wait_end,
        wait_ready,
        with_port,
    )

    with faults_told():
        config = checked_config(file)
        document = with_port(read_document(file), host, port)
        log_file = log or Path(tempfile.mkdtemp(prefix="dit-serve-log-"), "serve.log")
        address = "http://{}:{}".format(*address_of(document))
        names = ", ".join(model.name for model in config.models)
        stop_on_signals()
        try:
            with running(document, log_file) as child:
                out.print(
                    f"Starting Ray and {names}. Log: {log_file}", highlight=False, soft_wrap=True
                )
                with out.status("Loading"):
                    wait_ready(child, address, log_file, timeout_s)
                out.print(_welcome(address, config), highlight=False, soft_wrap=True)
                for line in auth_lines(config, document, str(file)):
                    out.print(line, highlight=False, markup=False, soft_wrap=True)
                wait_end(child, address, log_file)
        except LaunchError as error:
            print(error, file=sys.stderr)
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            pass
        out.print("Stopped.")


def _welcome(address: str, config: ClusterConfig) -> str:
    model = config.models[0]
    prompt = "a red circle on a white background"
    body = f'{{"model": "{model.name}", "prompt": "{prompt}", "tier": "fast"}}'
    route = "videos" if model.makes_videos else "images/generations"
    key = ' -H "Authorization: Bearer $DIT_SERVE_API_KEY"' if config.auth.asks_for_keys else ""
    return (
        f"Ready at {address}  (Ctrl-C stops it)\n\n"
        f"  {address}/  the studio, for a browser\n"
        f"  {address}/docs  the API\n\n"
        f"  curl {address}/v1/{route} -H 'Content-Type: application/json'{key} -d '{body}'"
    )
