"""What the explorer's style adds to the report's."""

from ferjax.report.style import CSS as _REPORT

CSS = (
    _REPORT
    + """
.explorer { max-width: 100rem; }
.explorer .lead { font-size: 1.06rem; max-width: 66rem; }
.explorer .cards { margin: .7rem 0; } .explorer .card { padding: .6rem .9rem; }
.explorer .card b { font-size: 1.6rem; } .explorer .card span { display: block; line-height: 1.35; }
.explorer .label::first-letter { text-transform: uppercase; }
.explorer header .note { background: var(--card); color: inherit; border-left-color: var(--soft);
  padding: .25rem .8rem; margin: .25rem 0; font-size: .9rem; max-width: 66rem; }
.explorer h4 { font-size: .9rem; margin: .7rem 0 .2rem; }
.explorer dl { font-size: .92rem; gap: .2rem 1.1rem; }
.explorer header dl { margin: .5rem 0; }
.whisker { background: linear-gradient(var(--rule), var(--rule)) 50% / 1px 100% no-repeat; }
.controls .whisker { background: none; width: 52px; }
.controls thead th { white-space: normal; max-width: 6.4rem; vertical-align: bottom; }
.controls th, .controls td { padding: .3rem .5rem; }
button, select { font: inherit; font-size: .88rem; color: var(--ink); background: var(--card);
  border: 1px solid var(--rule); border-radius: 5px; padding: .15rem .55rem; cursor: pointer; }
.three { display: grid; grid-template-columns: minmax(15rem, 6fr) max-content minmax(15rem, 5fr);
  gap: 0 1.4rem; align-items: start; }
.three table { font-size: .82rem; } .three td, .three th { padding: .12rem .4rem; }
.explorer .reasons th:last-child { text-align: left; }
.explorer .reasons th[scope=row] { white-space: normal; max-width: 28rem; }
.three td small { display: inline; } .aus thead th:nth-child(2) { text-align: left; }
.pick { padding: .02rem .45rem; font-weight: 600; }
.pick[aria-pressed=true] { background: var(--one); color: var(--page); border-color: var(--one); }
.face { width: 100%; max-width: 34rem; }
.face .lines path, .face .iris { fill: none; stroke: var(--soft); stroke-width: 1.6; }
.face .lines .skin { fill: var(--card); stroke-width: 2; } .face .lines .iris { fill: var(--soft); }
.face .au { cursor: pointer; }
.face ellipse { fill: var(--one); fill-opacity: 0; stroke: var(--one); stroke-opacity: 0; }
.face .some ellipse { fill-opacity: .06; }
.face .region:hover ellipse { fill-opacity: .25; }
.face .on ellipse { fill-opacity: .45; stroke-opacity: 1; stroke-width: 1.5; }
.face .label line { stroke: var(--rule); } .face .label circle { fill: var(--soft); }
.face .label rect { fill: var(--page); stroke: var(--rule); } .face .some rect { stroke: var(--one); }
.face .label text { fill: var(--ink); font-size: 15px; text-anchor: middle; }
.face .label:hover rect { stroke: var(--ink); }
.face .on line { stroke: var(--one); stroke-width: 1.6; } .face .on circle { fill: var(--one); }
.face .on rect { fill: var(--one); stroke: var(--one); }
.face .on text { fill: var(--page); font-weight: 700; }
.panel { border: 1px solid var(--rule); border-radius: 8px; padding: .7rem 1rem; min-width: 0; }
.panel h3 { margin: 0 0 .4rem; font-size: 1.12rem; }
.panel h3 .soft { font-weight: 400; }
.three dl { grid-template-columns: 1fr; gap: 0; font-size: .88rem; } .three dd { margin-bottom: .35rem; }
.chips { display: flex; flex-wrap: wrap; gap: .2rem .6rem; font-size: .86rem; margin: .1rem 0;
  max-height: 9.5rem; overflow: auto; }
.choices { display: flex; flex-wrap: wrap; gap: .4rem .9rem; align-items: center; margin: 0 0 .5rem;
  font-size: .9rem; }
.bench { display: grid; grid-template-columns: minmax(0, 47fr) minmax(0, 53fr); gap: 0 1rem;
  height: calc(100vh - 1.6rem); min-height: 30rem; }
.side { display: flex; flex-direction: column; min-height: 0; }
.rows { overflow: auto; flex: 1; border: 1px solid var(--rule); border-radius: 8px; }
.bench .panel { overflow: auto; padding: .7rem .8rem; }
.bench dl { font-size: .86rem; line-height: 1.35; gap: .1rem 1rem; }
.bench .panel p { margin: .3rem 0; } .bench .panel .soft { font-size: .82rem; }
.filters { width: 100%; border-collapse: separate; border-spacing: 0; font-size: .81rem; }
.filters th, .filters td { padding: .14rem .3rem; line-height: 1.25; } .filters small { font-size: .72rem; }
.filters td:first-child { padding-left: .4rem; }
.filters thead th, .filters thead td { position: sticky; top: 0; background: var(--card); z-index: 1; }
.filters thead button { border: 0; background: none; padding: .2rem 0; font-weight: 600; font-size: .81rem; }
[aria-sort=ascending] button::after { content: " \\25B2"; font-size: .7em; }
[aria-sort=descending] button::after { content: " \\25BC"; font-size: .7em; }
.row { cursor: pointer; scroll-margin: 2.2rem 0 .4rem; }
.row:hover td { background: var(--card); }
.row[aria-selected=true] td { background: rgba(var(--heat), .11); }
.row[aria-selected=true] td:first-child { box-shadow: inset 4px 0 var(--one); }
.row:focus-visible { outline-offset: -3px; }
.thumb { display: block; width: 36px; height: 36px; border-radius: 3px; image-rendering: pixelated;
  background-position: calc(var(--x) * -36px) calc(var(--y) * -36px); }
.verdict { display: inline-block; padding: 0 .4rem; border-radius: 9px; border: 1px solid var(--rule);
  color: var(--soft); font-size: .92em; }
.verdict.v0 { background: var(--one); border-color: var(--one); color: var(--page); font-weight: 600; }
.verdict.v1 { color: var(--warn); border-color: currentColor; }
.verdict.v2 { color: var(--ink); border-color: var(--two); }
.verdict.v3 { color: var(--ink); border-style: dashed; border-color: var(--soft); }
.pictures { border-collapse: collapse; font-size: .78rem; margin: .5rem 0; }
.panel h3 .verdict { font-size: .8em; padding: .05rem .6rem; }
.pictures td, .pictures th { border: 0; padding: 1px; text-align: center; font-weight: 400; }
.pictures th[scope=row] { color: var(--soft); width: 4.6rem; white-space: normal; padding-right: .3rem;
  line-height: 1.2; background: none; }
.pictures canvas { width: 57px; height: 57px; object-fit: contain; display: block; margin: auto;
  image-rendering: pixelated; background: var(--card); border-radius: 3px; }
.pairs { font-size: .75rem; width: 100%; } .pairs th, .pairs td { padding: .05rem .17rem; border: 0; }
.pairs thead th { border-bottom: 1px solid var(--rule); padding-bottom: .2rem; }
.pairs th[scope=row] { max-width: 12rem; overflow: hidden; text-overflow: ellipsis; font-weight: 400; }
.pairs th[scope=row] b { display: inline-block; min-width: 2.5rem; font-weight: 600; }
.pairs .matched td, .pairs .matched th { background: rgba(var(--heat), .14); font-weight: 600; }
.pairs svg { display: block; width: 140px; height: 17px; }
.pairs .band { fill: var(--soft); opacity: .2; } .pairs .half { stroke: var(--soft); }
.pairs .bar { fill: var(--one); opacity: .45; } .pairs .span { stroke: var(--ink); stroke-width: 1.3; }
.pairs .dot { fill: var(--one); } .pairs text { fill: var(--soft); font-size: 10px; text-anchor: middle; }
.only-print { display: none; }
@media (max-width: 95rem) { .wide { display: none; } }
@media (max-width: 74rem) {
  .three { grid-template-columns: 1fr max-content; }
  .three > .panel { grid-column: 1 / -1; margin-top: .8rem; }
  .bench { display: block; height: auto; } .side { max-width: none; height: 70vh; margin-bottom: 1rem; }
}
@media (max-width: 46rem) { .three { display: block; } }
@media print {
  .map, .hint, .explorer .panel, .choices, .explorer button.only { display: none; }
  .only-print { display: block; }
  .three, .bench, .side { display: block; height: auto; max-width: none; }
  .rows { overflow: visible; border: 0; } .filters thead th, .filters thead td { position: static; }
  .row { display: none; } .row.survives, .row.survives[hidden] { display: table-row; }
  .row[aria-selected=true] td { background: none; box-shadow: none !important; }
  .pick { border: 0; background: none !important; color: var(--ink) !important; padding: 0; }
  .thumb, .verdict { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .explorer th[scope=row] { position: static; background: none; }
  .explorer thead th, .explorer .confusion th { white-space: normal; }
  .explorer .confusion td { min-width: 0; }
  .controls th, .controls td { padding: .25rem .2rem; font-size: .74rem; }
  .explorer .controls th[scope=row] { white-space: normal; }
  .controls .whisker { display: none; }
  .explorer .scroll { break-inside: auto; } thead { display: table-header-group; }
  [aria-sort] button::after { content: ""; }
}
"""
)
