"""The CSS of a report for screens, phones and paper."""

STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--rule:#d9dee5;--paper:#fff;--back:#f3f5f8;--good:#2b6ca3;
--defect:#c8481d;--review:#e0a100;--yes:#1d7a46;--no:#b3261e}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:980px;margin:0 auto;padding:24px 16px 64px}
header h1{font-size:26px;line-height:1.2;margin:8px 0 2px;overflow-wrap:anywhere}
header p{color:var(--soft);margin:0 0 16px}
section{background:var(--paper);border:1px solid var(--rule);border-radius:8px;
padding:18px 20px;margin:16px 0}
h2{font-size:18px;margin:0 0 10px}
h3{font-size:15px;margin:18px 0 8px}
p{margin:8px 0;max-width:72ch}
.hint{color:var(--soft);font-size:13px}
.verdict{border-left:6px solid var(--yes)}
.verdict.no{border-left-color:var(--no)}
.verdict .answer{font-size:20px;font-weight:600;margin:0 0 6px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));
gap:12px;margin:14px 0 4px}
.tile{border:1px solid var(--rule);border-radius:6px;padding:10px 12px}
.tile b{display:block;font-size:24px;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px;display:block}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:18px}
figure{margin:0;min-width:0}
figcaption{color:var(--soft);font-size:13px;margin-top:4px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:5px 10px;border-bottom:1px solid var(--rule);white-space:nowrap}
th:first-child,td:first-child{text-align:left;padding-left:0}
thead th{color:var(--soft);font-weight:500;font-size:13px}
tbody th{font-weight:500}
td.words{white-space:normal;text-align:left}
td.bad{color:var(--no);font-weight:600}
svg{display:block;width:100%;height:auto}
svg text{font-family:inherit;fill:var(--soft)}
.tick{font-size:11px}.axis{font-size:12px}.note{font-size:11px}
svg text.big,svg text.good-text,svg text.defect-text{paint-order:stroke;stroke:#fff;
stroke-width:3px;stroke-linejoin:round}
svg text.big{font-size:14px;font-weight:600;fill:var(--ink)}
svg text.good-text{fill:var(--good)}svg text.defect-text{fill:var(--defect)}
.grid{stroke:var(--rule);stroke-width:1}
.chance{fill:none;stroke:#9aa5b1;stroke-width:1.2;stroke-dasharray:4 4}
.curve{fill:none;stroke:var(--good);stroke-width:2;stroke-linejoin:round}
.curve.faint{stroke:#a9bccd}
.band{fill:var(--good);fill-opacity:.16}
.bar.good{fill:var(--good)}.bar.defect{fill:var(--defect)}
.reviewband{fill:var(--review);fill-opacity:.18}
.axisline{stroke:var(--ink);stroke-width:1}
.threshold{fill:none;stroke-width:1.6}
.threshold.fail{stroke:var(--no)}.threshold.review{stroke:var(--review)}
.threshold.plain{stroke:var(--soft);stroke-dasharray:3 3}
.whisker{fill:none;stroke:var(--good);stroke-width:1.4}
.mark{stroke:#fff;stroke-width:1.2}
.mark.fail{fill:var(--no)}.mark.review{fill:var(--review)}.mark.plain{fill:var(--good)}
.key i{display:inline-block;width:12px;height:12px;border-radius:2px;
margin:0 5px 0 12px;vertical-align:-1px}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(210px,1fr));gap:12px}
.card{border:1px solid var(--rule);border-radius:6px;padding:8px;break-inside:avoid;min-width:0}
.card div{display:flex;gap:6px}
.card img{flex:1 1 0;width:50%;min-width:0;aspect-ratio:1;object-fit:contain;background:#e6eaef}
.card p{font-size:12px;line-height:1.35;margin:6px 0 0;overflow-wrap:anywhere}
.slider label{display:block;margin:6px 0;font-weight:500}
.slider output{font-variant-numeric:tabular-nums;color:var(--soft)}
.slider input{display:block;width:100%;margin:4px 0;accent-color:var(--good)}
button{font:inherit;font-size:13px;padding:4px 10px;border:1px solid var(--rule);border-radius:5px;
background:var(--back);color:var(--ink);cursor:pointer}
footer{color:var(--soft);font-size:13px;overflow-wrap:anywhere}
@media (max-width:560px){.wide svg{min-width:560px}
.wide figcaption{position:sticky;left:0;max-width:calc(100vw - 42px)}thead th{white-space:normal}
main{padding:8px 8px 40px}
section{padding:14px 12px;border-radius:6px}
header{padding:0 4px}.pair{grid-template-columns:1fr}.gallery{grid-template-columns:1fr 1fr;gap:8px}
.card{padding:6px}.card div{flex-direction:column}.card img{width:100%}
th,td{padding:5px 6px}table{font-size:13px}.tiles{grid-template-columns:1fr 1fr;gap:8px}
.tile{padding:8px}.tile b{font-size:19px}.slider th,.slider td{white-space:normal}}
@page{margin:14mm}
@media print{body{background:#fff;font-size:11pt}main{max-width:none;padding:0}
section{border:0;border-top:1px solid var(--rule);border-radius:0;padding:10px 0;margin:0}
.verdict{border-left:6px solid var(--yes);padding-left:12px}.verdict.no{border-left-color:var(--no)}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
h2,h3{break-after:avoid}figure,table,.tile,.card{break-inside:avoid}
.slider input,.slider button,.slider .hint{display:none}
.gallery{grid-template-columns:repeat(3,1fr)}.pair{grid-template-columns:1fr 1fr}
.tiles{grid-template-columns:1fr 1fr}}
"""
