"""Draw the rooms of the package and the imports between them; fail on an import that climbs.

    python tools/misc/draw_architecture.py                    # docs/images/architecture.png
    python tools/misc/draw_architecture.py --check            # only say which imports climb

Rooms are the folders of mmrefseg/. A room may import those on the floors below its own; FLOORS is the order
that docs/architecture.md explains. The figure leaves out an arrow where a way over other rooms leads to the
same room.
"""

import argparse
import ast
import sys
from collections import defaultdict
from pathlib import Path

from mmrefseg.utils import atomic_write, check_output, cli
from mmrefseg.utils.command_line import ToolParser

ROOT = Path(__file__).resolve().parents[2]
FLOORS = (
    ('tools', 'cli'),
    ('app',),
    ('experiments',),
    ('apis',),
    ('runs', 'analysis', 'checkpoints', 'pseudo_labels'),
    ('models', 'evaluation'),
    ('datasets', 'engine', 'visualization'),
    ('codecs',),
    ('structures',),
    ('compat',),
    ('utils',),
)
"""From the top to the ground. Rooms on one floor do not import one another."""

Arrows = dict[tuple[str, str], list[str]]


def imported_modules(path: Path, package: list[str]) -> list[str]:
    """Absolute names of all modules that a file imports, inside functions too."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = '.'.join([*base, *([node.module] if node.module else [])])
            names += [module] if node.module else [f'{module}.{alias.name}' for alias in node.names]
    return names


def read_arrows(root: Path) -> tuple[Arrows, dict[str, int]]:
    """Which rooms import which, by the files that do, and the lines of each room.

    Args:
        root: The checkout.

    Returns:
        (importing room, imported room) -> ``['file -> module', ...]``, and lines by room.
    """
    arrows: Arrows = defaultdict(list)
    lines: dict[str, int] = defaultdict(int)
    files = sorted([*(root / 'mmrefseg').rglob('*.py'), *(root / 'tools').rglob('*.py')])
    for path in files:
        parts = path.relative_to(root).parts
        room = 'tools' if parts[0] == 'tools' else parts[1]
        if room.endswith('.py'):  # the package's own few: version, registration
            continue
        lines[room] += path.read_text(encoding='utf-8').count('\n')
        for module in imported_modules(path, list(parts[:-1])):
            name = module.split('.')
            if (
                name[0] == 'mmrefseg'
                and len(name) > 1
                and name[1] != room
                and (root / 'mmrefseg' / name[1]).is_dir()
            ):
                arrows[room, name[1]].append(f'{path.relative_to(root)} -> {module}')
    return dict(arrows), dict(lines)


def climbing(arrows: Arrows) -> list[str]:
    """The imports that do not lead to a lower floor, and the rooms that have no floor."""
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    unknown = sorted({room for arrow in arrows for room in arrow} - floor.keys())
    found = [f'mmrefseg/{room}: no floor in FLOORS' for room in unknown]
    for (above, below), files in sorted(arrows.items()):
        if above in floor and below in floor and floor[below] <= floor[above]:
            found += files
    return found


def shortest(arrows: Arrows) -> list[tuple[str, str]]:
    """The arrows that no way over other rooms replaces."""
    below = defaultdict(set)
    for start, end in arrows:
        below[start].add(end)

    def reaches(start: str, end: str) -> bool:
        return any(room == end or reaches(room, end) for room in below[start])

    return [(a, b) for a, b in arrows if not any(c != b and reaches(c, b) for c in below[a])]


def draw(arrows: Arrows, lines: dict[str, int], path: Path) -> None:
    """Draw rooms as boxes, a floor a row, and arrows from who imports to what is imported."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot as plt

    places = {}
    for number, rooms in enumerate(FLOORS):
        for index, room in enumerate(rooms):
            aside = 1.3 * (-1) ** number if len(rooms) == 1 else 0  # no arrow runs behind a box
            places[room] = (aside + 4 * (index - (len(rooms) - 1) / 2), -1.25 * number)
    figure, axes = plt.subplots(figsize=(10, 8.5))
    for start, end in shortest(arrows):
        (x1, y1), (x2, y2) = places[start], places[end]
        bend = 0.0 if abs(x1 - x2) > 0.1 or y1 - y2 < 2 else 0.35
        style = dict(arrowstyle='-|>', color='#7a8aa0', lw=1.1, connectionstyle=f'arc3,rad={bend}')
        axes.annotate('', xy=(x2, y2 + 0.33), xytext=(x1, y1 - 0.33), arrowprops=style)
    for room, (x, y) in places.items():
        box = dict(boxstyle='round,pad=0.45', facecolor='#eef3fa', edgecolor='#34507a')
        label = f'{room}\n{lines.get(room, 0):,} lines'
        axes.text(x, y, label, ha='center', va='center', fontsize=9.5, bbox=box, linespacing=1.3)
    axes.set_xlim(-8, 8)
    axes.set_ylim(-1.25 * len(FLOORS) + 0.5, 0.8)
    axes.axis('off')
    with atomic_write(path, 'wb') as file:
        figure.savefig(file, format='png', dpi=80, bbox_inches='tight', metadata={'Software': None})
    plt.close(figure)


@cli
def main(argv: list[str] | None = None) -> int:
    """Draw or check; the exit code is 1 where an import climbs."""
    parser = ToolParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='draw nothing')
    parser.add_argument('--root', type=Path, default=ROOT, help='of the checkout (default: this one)')
    parser.add_argument('--out', type=Path, default=ROOT / 'docs/images/architecture.png', metavar='FILE')
    args = parser.parse_args(argv)
    if not args.check:
        check_output(args.out, '--out')
    arrows, lines = read_arrows(args.root)
    found = climbing(arrows)
    for line in found:
        print(f'climbs: {line}', file=sys.stderr)
    print(f'{len(lines)} rooms, {len(arrows)} arrows, {len(found)} climb')
    if not args.check:
        draw(arrows, lines, args.out)
        print(args.out)
    return 1 if found else 0


if __name__ == '__main__':
    main()
