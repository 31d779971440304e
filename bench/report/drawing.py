"""What all charts are drawn with: an SVG file that is legible on light and dark pages alike, without a library.

Colours stand in the elements, for programs that know no style sheets; the style sheet replaces them on dark pages.
"""

from xml.sax.saxutils import escape

COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#718096", "#a0aec0")
DARK_COLOURS = ("#63b3ed", "#f6ad55", "#68d391", "#a0aec0", "#718096")
INK, PAPER, GRID = "#1a202c", "#ffffff", "#e2e8f0"
DARK_INK, DARK_PAPER, DARK_GRID = "#e2e8f0", "#0d1117", "#2d3748"
_STYLE = (
    "@media (prefers-color-scheme: dark) { "
    f".paper {{ fill: {DARK_PAPER} }} .ink {{ fill: {DARK_INK} }} .mark {{ stroke: {DARK_INK} }} "
    f".grid {{ stroke: {DARK_GRID} }} "
    + " ".join(
        f".line{number} {{ stroke: {colour} }} .area{number} {{ fill: {colour} }}"
        for number, colour in enumerate(DARK_COLOURS)
    )
    + " }"
)


def svg(title: str, width: int, height: int, parts: list[str]) -> str:
    """A whole file, with its title above."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="12">',
            f"<style>{_STYLE}</style>",
            f'<rect width="{width}" height="{height}" rx="6" class="paper" fill="{PAPER}"/>',
            label(12, 24, title, size=15, weight="bold"),
            *parts,
            "</svg>",
            "",
        ]
    )


def label(
    x: float, y: float, words: str, size: int = 12, anchor: str = "start", weight: str = "normal"
) -> str:
    """Words at a place."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" '
        f'class="ink" fill="{INK}">{escape(words)}</text>'
    )


def upright(x: float, y: float, words: str) -> str:
    """Words along a vertical axis, with their middle at a place."""
    return (
        f'<text transform="translate({x:.1f} {y:.1f}) rotate(-90)" text-anchor="middle" class="ink" '
        f'fill="{INK}">{escape(words)}</text>'
    )


def grid(x1: float, y1: float, x2: float, y2: float) -> str:
    """A line that only helps to read."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="grid" stroke="{GRID}"/>'


def area(number: int) -> str:
    """The attributes of what is filled in the colour of a server or line, by its number."""
    number %= len(COLOURS)
    return f'class="area{number}" fill="{COLOURS[number]}"'


def stroke(number: int) -> str:
    """The attributes of what is drawn in such a colour."""
    number %= len(COLOURS)
    return f'class="line{number}" stroke="{COLOURS[number]}"'
