// How the overlay looks: dark and nearly opaque, so that it can be read over any game. It is in a shadow root, so nothing
// of the page's style gets in, and nothing of it out.

export const STYLE = `
:host { all: initial; position: fixed; z-index: 2147483000; inset: 0 0 0 auto; width: min(440px, 100vw);
  font: 12px/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; color: #dfe6f2; color-scheme: dark; }
:host([hidden]) { display: none; }
* { box-sizing: border-box; font: inherit; color: inherit; }
[hidden] { display: none !important; }
.panel { display: flex; flex-direction: column; height: 100%; background: #0b0f1af2; border-left: 1px solid #33405c; }
header, .bar { display: flex; align-items: center; gap: 6px; padding: 6px 8px; flex: none; }
header { padding-bottom: 0; }
header b, summary, .kind { color: #6fe0ff; }
b { font-weight: 600; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.bar b, .grow { flex: 1; min-width: 0; }
.state::before { content: ""; display: inline-block; width: 8px; height: 8px; margin-right: 5px; border-radius: 50%;
  background: #f2b84b; }
.state.joined::before { background: #63d98b; }
.state.closed::before { background: #ff6b6b; }
.brief { padding: 2px 8px 6px; color: #9aa8c2; flex: none; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
nav { display: flex; flex: none; border-bottom: 1px solid #33405c; padding: 0 8px; gap: 4px; }
nav button { border-bottom: none; border-radius: 4px 4px 0 0; padding: 3px 14px; }
button, select, input { background: #1a2236; border: 1px solid #33405c; border-radius: 4px; padding: 2px 7px; }
button { cursor: pointer; white-space: nowrap; }
button:hover { background: #27324f; }
button[aria-selected="true"] { background: #33405c; color: #fff; }
:focus-visible { outline: 2px solid #6fe0ff; outline-offset: 1px; }
input[type="search"] { flex: 1; min-width: 60px; }
input[type="checkbox"] { vertical-align: -2px; margin: 0; accent-color: #6fe0ff; }
select { max-width: 150px; }
label { white-space: nowrap; }
section { flex: 1; min-height: 0; overflow: auto; overscroll-behavior: contain; }
.dim, dt, figcaption { color: #9aa8c2; }
p { margin: 4px 8px; }
p:empty { display: none; }
dl { display: grid; grid-template-columns: 1fr 1fr; gap: 2px 14px; margin: 8px; }
dl > div { display: flex; justify-content: space-between; gap: 8px; min-width: 0; }
dl > div:nth-child(-n + 4) { grid-column: 1 / -1; justify-content: flex-start; }
dl > div:nth-child(-n + 4) dt { width: 56px; flex: none; }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
dl > div:nth-child(-n + 4) dd { text-align: left; }
.alarm { color: #ff8f8f; font-weight: 600; }
figure { margin: 8px; }
figcaption { display: flex; justify-content: space-between; }
canvas { display: block; width: 100%; height: 34px; background: #141b2c; border-radius: 3px; }
summary { cursor: pointer; padding: 1px 0; }
.tables { padding-bottom: 8px; }
.tables details { margin: 0 8px 8px; }
.scroll { overflow: auto; max-height: 60vh; overscroll-behavior: contain; }
table { border-collapse: collapse; min-width: 100%; }
th, td { padding: 0 8px 0 4px; text-align: left; white-space: pre; }
th { position: sticky; top: 0; background: #1a2236; color: #9aa8c2; }
th:first-child, td:first-child { color: #9aa8c2; position: sticky; left: 0; background: #10172a; }
th.private { color: #f2b84b; }
th.private::after { content: " *"; }
tr.mine td:first-child { color: #63d98b; }
tr.mine td:first-child::after { content: " me"; }
td { transition: background-color 0.7s; }
td.changed { background: #2f5a8acc; transition: none; }
td.unknown { color: #6d7a94; font-style: italic; }
.log { display: flex; flex-direction: column; overflow: hidden; }
ol { list-style: none; margin: 0; padding: 0; flex: 1 1 50%; min-height: 90px; overflow: auto; overscroll-behavior: contain; }
li { display: flex; gap: 6px; padding: 0 8px; cursor: pointer; white-space: pre; }
li:hover { background: #1a2236; }
li.opened { background: #33405c; }
li span { flex: none; overflow: hidden; text-overflow: ellipsis; }
li .time { color: #9aa8c2; }
li .arrow { width: 1ch; color: #63d98b; }
li.out .arrow { color: #f2b84b; }
li .kind { width: 7ch; }
li .bytes, li .tick { width: 5ch; text-align: right; }
li .tick { color: #9aa8c2; }
li .text { flex: 1; min-width: 0; }
li.note .kind, li.note .text { color: #f2b84b; }
.message { flex: 1.3 1 50%; min-height: 120px; display: flex; flex-direction: column; border-top: 1px solid #33405c; }
.message .body { overflow: auto; padding: 0 8px 8px; overscroll-behavior: contain; }
.body details, .leaf { padding-left: 14px; }
.body > details { padding-left: 0; }
.leaf { padding-left: 26px; overflow-wrap: anywhere; }
.body summary { text-indent: -14px; padding-left: 14px; overflow-wrap: anywhere; }
.name { color: #6fe0ff; }
.value { color: #dfe6f2; }
pre { margin: 0; white-space: pre; }
@media (max-width: 560px) {
  :host { inset: auto 0 0 0; width: 100vw; height: 60vh; }
  .scroll { max-height: 34vh; }
  .panel { border-left: none; border-top: 1px solid #33405c; }
  li .time { display: none; }
}
@media (prefers-reduced-motion: reduce) { td { transition: none; } }
`;
