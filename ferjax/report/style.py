"""The page's style: light, dark and paper."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1c2430; --soft: #5b6676; --rule: #d9dee6; --card: #f5f7fa;
  --one: #1f6fb2; --two: #c2571a; --three: #2e7d4f; --heat: 16, 78, 139; --hot-ink: #ffffff; --warn: #8a4b00;
  --warn-card: #fff4e0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181f; --ink: #e6eaf0; --soft: #9aa6b6; --rule: #333c49; --card: #1d232d;
    --one: #6db3ee; --two: #f0975a; --three: #7fcf9f; --heat: 77, 152, 214; --hot-ink: #0c1016;
  --warn: #f5c37a;
  --warn-card: #33270f;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0 auto; padding: 1.6rem 1.4rem 4rem; max-width: 72rem; background: var(--page);
  color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .7rem; padding-bottom: .3rem;
  border-bottom: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.4rem 0 .5rem; }
p { margin: .5rem 0; max-width: 52rem; }
a { color: var(--one); }
:focus-visible { outline: 3px solid var(--one); outline-offset: 2px; border-radius: 3px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--page); padding: .4rem .8rem; }
.soft, .id { color: var(--soft); }
nav { margin: .9rem 0 1.4rem; display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; font-size: .92rem; }
code, pre, .id, .mono { font-family: ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace;
  font-size: .86em; }
.mono { overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11.5rem, 1fr)); gap: .8rem;
  margin: 1rem 0; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .8rem 1rem; }
.card b { display: block; font-size: 1.85rem; line-height: 1.25; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .88rem; }
.card .label { color: var(--ink); font-weight: 600; font-size: .95rem; }
.missing, .note { background: var(--warn-card); color: var(--warn); border-left: 4px solid currentColor;
  padding: .5rem .9rem; border-radius: 4px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: .8rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr));
  gap: 1.2rem; margin: .8rem 0; }
.chart { width: 100%; height: auto; max-width: 42rem; }
.chart text { fill: var(--soft); font-size: 12.5px; }
.chart .chart-title { fill: var(--ink); font-size: 14px; font-weight: 600; }
.chart .legend { fill: var(--ink); }
.chart .grid { stroke: var(--rule); } .chart .axis { stroke: var(--soft); }
.chart .mark { stroke: var(--ink); stroke-dasharray: 4 4; } .chart .mark-text { fill: var(--ink);
  paint-order: stroke; stroke: var(--page); stroke-width: 4px; }
.chart .line { fill: none; stroke-width: 2.2; stroke-linejoin: round; }
.chart .line.line-0 { stroke: var(--one); } .chart .line.line-1 { stroke: var(--two);
  stroke-dasharray: 7 3; }
.chart .dot.line-0 { fill: var(--one); } .chart .dot.line-1 { fill: var(--two); }
.chart .dot.line-2 { fill: var(--three); }
.chart .span { stroke-width: 3; opacity: .45; } .chart .span.line-0 { stroke: var(--one); }
.chart .span.line-1 { stroke: var(--two); } .chart .span.line-2 { stroke: var(--three); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .34rem .7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--rule); }
thead th { vertical-align: bottom; } th { font-weight: 600; }
th[scope=row], .left { text-align: left; }
th[scope=row] { position: sticky; left: 0; background: var(--page); }
td small, th small { display: block; color: var(--soft); font-size: .8rem; font-weight: 400; }
.confusion td { text-align: center; min-width: 4.9rem; border: 1px solid var(--page); line-height: 1.2;
  background: rgba(var(--heat), var(--share)); }
.confusion td small { color: inherit; opacity: .85; }
.confusion td.hot { color: var(--hot-ink); }
.confusion td.right { font-weight: 700; }
.confusion td.none { color: var(--soft); }
.upright thead span { writing-mode: vertical-rl; transform: rotate(180deg); }
.confusion.upright td { min-width: 2.7rem; padding: .25rem .2rem; font-size: .85rem; }
.pair { display: flex; flex-wrap: wrap; gap: .4rem 2rem; } .pair > div { min-width: 0; }
.pair h4 { margin: .4rem 0; font-size: .95rem; }
.words th, .words td { text-align: left; }
.confusion th { border: 0; } .confusion thead th { text-align: center; }
.whisker { width: 80px; height: 14px; vertical-align: middle; margin-left: .5rem; }
.whisker .axis { stroke: var(--rule); } .whisker .span { stroke: var(--one); stroke-width: 3;
  opacity: .55; }
.whisker circle { fill: var(--one); }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(7.4rem, 1fr)); gap: 1rem .9rem;
  padding: 0; }
.faces figure { margin: 0; break-inside: avoid; }
.faces img { width: 100%; aspect-ratio: 1; object-fit: contain; image-rendering: pixelated;
  border-radius: 6px;
  background: var(--card); display: block; }
.faces figcaption { font-size: .85rem; line-height: 1.35; margin-top: .3rem; overflow-wrap: anywhere; }
.faces .id { display: block; font-size: .72rem; }
details { margin: .7rem 0; } summary { cursor: pointer; font-weight: 600; padding: .2rem 0; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: .9rem 1rem;
  overflow-x: auto;
  line-height: 1.45; }
@media (max-width: 40rem) {
  body { padding: 1rem .8rem 3rem; } dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .5rem; }
  th, td { padding: .3rem .45rem; } .confusion td { min-width: 3rem; }
}
@media print {
  :root { color-scheme: light; --page: #fff; --ink: #000; --soft: #444; --rule: #bbb; --card: #fff;
  --one: #1f6fb2;
    --two: #c2571a; --three: #2e7d4f; --heat: 16, 78, 139; --hot-ink: #fff;
    --warn: #553000; --warn-card: #fff; }
  body { max-width: none; padding: 0; font-size: 10.5pt; } nav, .skip { display: none; }
  .confusion td, .chart, .whisker { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3, section p { break-after: avoid; } .card, .chart, tr, figure { break-inside: avoid; }
.scroll { overflow: visible; break-inside: avoid; }
  pre { white-space: pre-wrap; } .faces { grid-template-columns: repeat(6, 1fr); }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""
