"""The command line of ``sansice simulate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from click.core import ParameterSource

from sansice.simulation import STORY_LIMIT, scenes
from sansice_cli._durations import parse_duration
from sansice_cli._options import read_by

from ._explore import run_exploration
from ._interrupts import Interrupts
from ._matrix import run_matrix
from ._run import Wishes, run_scene
from ._scenes import find_scene, listing

_COMMON = frozenset({"seed", "as_json"})
_OF_A_SCENE = _COMMON | {"scene", "pcap", "svg", "timeline", "diagram", "limit"}
_OF = {
    "listed": frozenset({"listed", "as_json"}),
    "as_matrix": _COMMON | {"as_matrix", "runs"},
    "exploring": _COMMON | {"exploring", "scene", "budget", "depth", "save"},
    "sweep": frozenset({"sweep", "workers", "dask", "out", "as_json"}),
}
"""Which parameters each of the other ways to use the command takes."""


_FILE = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
_READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(short_help="Run programs behind simulated NATs, in virtual time.")
@click.argument("scene", required=False)
@click.option("--list", "listed", is_flag=True, help="List all scenes, one a line, its name first.")
@click.option(
    "--matrix",
    "as_matrix",
    is_flag=True,
    help="Run every kind of NAT against every kind, without and with a relay, and draw tables.",
)
@click.option("--explore", "exploring", is_flag=True, help="Look for orders of packets, losses and timers that break a rule.")
@click.option("--sweep", type=_READABLE, metavar="FILE.toml", help="Run scenes with many parameters and seeds, on Dask.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything random.")
@click.option("--pcap", type=_FILE, help="Write a capture (pcapng) for Wireshark.")
@click.option("--svg", type=_FILE, help="Write a sequence diagram as an image.")
@click.option("--timeline", is_flag=True, help="Print what happened, a line for each packet and event.")
@click.option("--diagram", is_flag=True, help="Print a sequence diagram.")
@click.option(
    "--limit",
    type=click.IntRange(min=2),
    default=STORY_LIMIT,
    show_default=True,
    help="Packets in timeline and diagrams; of more, the first and the last are shown.",
)
@click.option("--runs", type=click.IntRange(min=1), default=1, show_default=True, help="Seeds of each cell of the matrix.")
@click.option(
    "--budget",
    callback=read_by(parse_duration),
    default="60s",
    show_default=True,
    metavar="DURATION",
    help="How long to explore: 60s, 2m, 1m30s.",
)
@click.option(
    "--depth", type=click.IntRange(min=0), default=2, show_default=True, help="Deviations from the clock to try systematically."
)
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Write what exploration finds, for sansice replay.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="The sweep's folder; what is finished there stays.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes of the sweep; as many as there are cores if left out.")
@click.option("--dask", metavar="ADDRESS", help="Of a Dask scheduler for the sweep, such as tls://10.0.0.5:8786.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout; the rest goes to stderr.")
@click.pass_context
def simulate(
    ctx: click.Context,
    scene: str | None,
    listed: bool,
    as_matrix: bool,
    exploring: bool,
    sweep: Path | None,
    seed: int,
    pcap: Path | None,
    svg: Path | None,
    timeline: bool,
    diagram: bool,
    limit: int,
    runs: int,
    budget: float,
    depth: int,
    save: Path | None,
    out: Path | None,
    workers: int | None,
    dask: str | None,
    as_json: bool,
) -> int:
    """Run agents behind simulated NATs: no network is touched, time is virtual, and the same seed gives the same run.

    SCENE is a name that --list tells, or a JSON file. A scene says itself how it ends; some are there because they end
    badly. --explore tries one scene, or all that have agents where none is named. --sweep writes a table of very many
    sessions (Parquet), a summary and plots into --out.

    Exit codes: 0 it ended as the scene says (the matrix: as the rules of NATs say; exploration: nothing was found;
    the sweep: it is finished); 1 it did not; 2 usage; 130 interrupted. What was done until an interrupt is shown.
    """
    _refuse_the_useless(ctx)
    if listed:
        return _list(as_json)
    if as_matrix:
        return run_matrix(runs, seed, as_json=as_json)
    if exploring:
        explored = [find_scene(scene)] if scene is not None else [one for one in scenes().values() if one.agents]
        if not explored[0].agents:
            raise click.UsageError(f"{explored[0].name} has no agents, and exploration is about agents")
        return run_exploration(explored, seconds=budget, depth=depth, seed=seed, save=save, as_json=as_json)
    if sweep is not None:
        return _sweep(sweep, out, workers, dask, as_json=as_json)
    if scene is None:
        raise click.UsageError("name a scene, or use --list, --matrix, --explore or --sweep")
    found = find_scene(scene)
    wishes = Wishes(pcap=pcap, svg=svg, timeline=timeline, diagram=diagram, limit=limit, as_json=as_json)
    return run_scene(found, seed, wishes)


def _refuse_the_useless(ctx: click.Context) -> None:
    """Say which of the parameters given makes no sense with the others, rather than ignore it."""
    given = [one for one in ctx.command.params if ctx.get_parameter_source(one.name or "") is ParameterSource.COMMANDLINE]
    given = [one for one in given if ctx.params.get(one.name or "") is not None]
    way = next((one for one in given if one.name in _OF), None)
    allowed = _OF_A_SCENE if way is None else _OF[way.name or ""]
    for one in given:
        if one.name not in allowed:
            where = f"with {way.opts[0]}" if way is not None else "to run a scene"
            raise click.UsageError(f"{one.opts[0]} is of no use {where}")


def _sweep(path: Path, out: Path | None, workers: int | None, dask: str | None, *, as_json: bool) -> int:
    if out is None:
        raise click.UsageError("--sweep needs --out, a folder for what it finds")
    if workers is not None and dask is not None:
        raise click.UsageError("--workers and --dask exclude each other: a cluster has as many as it has")
    from ._sweep._extra import require_extra

    with Interrupts(gently=True) as interrupts:  # one in the middle of loading what follows would come out as something else
        require_extra()
        from ._sweep._run import run_sweep_file  # loads Dask, Arrow and Matplotlib, which nothing else needs

        return run_sweep_file(path, out, interrupts, workers=workers, dask=dask, as_json=as_json)


def _list(as_json: bool) -> int:
    names = listing()
    width = max(len(name) for name, _ in names)
    for name, about in names:
        click.echo(f"{name:{width}}  {about}", file=sys.stderr if as_json else sys.stdout)
    if as_json:
        click.echo(json.dumps({"scenes": [{"name": name, "about": about} for name, about in names]}))
    return 0
