// Draws what stands in data-chart (saas/handlers/charts.py); the table beside it says the same. ECharts, which weighs more
// than the rest of a page, is fetched when the first chart comes near to being seen.
(() => {
  "use strict";

  const library = document.currentScript.dataset.library;

  const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--op-${name}`).trim();

  // A value beside the axis: 1536 octets are 1.5 KB, 150000 minor units 1.5 k.
  function short(value, shows) {
    const [step, units] = shows === "octets" ? [1024, ["B", "KB", "MB", "GB", "TB"]] : [1000, ["", "k", "M"]];
    let place = 0;
    let rest = shows === "money" ? value / 100 : value;
    while (rest >= step && place < units.length - 1) {
      rest /= step;
      place += 1;
    }
    return `${Number(rest.toPrecision(3))} ${units[place]}`;
  }

  // Tooltips are drawn into the picture: as HTML they would need inline styles, which the security policy forbids.
  function options({ kind, shows, labels, series }) {
    const soft = tone("soft");
    const text = (parts) => [parts[0].axisValue, ...parts.map((part) => `${part.seriesName}  ${series[part.seriesIndex].texts[part.dataIndex]}`)].join("\n");
    return {
      animation: false,
      aria: { enabled: false },
      color: [tone("accent"), tone("purple")],
      grid: { left: 8, right: 8, top: 12, bottom: 4, containLabel: true },
      tooltip: { trigger: "axis", renderMode: "richText", confine: true, formatter: text, backgroundColor: tone("surface"), borderColor: tone("line"), textStyle: { color: tone("text"), fontSize: 12 } },
      xAxis: { type: "category", data: labels, axisLabel: { color: soft, hideOverlap: true, formatter: (label) => label.replace(/^\d{4}-/, "") }, axisLine: { lineStyle: { color: tone("line-strong") } }, axisTick: { show: false } },
      yAxis: { type: "value", minInterval: 1, axisLabel: { color: soft, formatter: (value) => short(value, shows) }, splitLine: { lineStyle: { color: tone("line") } } },
      series: series.map(({ name, values }) => ({ name, type: kind, data: values, stack: kind === "bar" ? "all" : undefined, showSymbol: false, areaStyle: kind === "line" ? { opacity: 0.12 } : undefined, barMaxWidth: 24 })),
    };
  }

  function draw(box) {
    const chart = echarts.init(box, null, { renderer: "canvas" });
    const paint = () => chart.setOption(options(JSON.parse(box.dataset.chart)), true);
    paint();
    new ResizeObserver(() => chart.resize()).observe(box);
    new MutationObserver(paint).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  }

  const near = new IntersectionObserver((entries) => {
    entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
      near.unobserve(target);
      fetchOnce(library).then(() => draw(target));
    });
  }, { rootMargin: "100px" });
  document.querySelectorAll(".op-chart").forEach((box) => near.observe(box));
})();
