/**
 * The little program of a report's page: pointing at a chart, or arrow keys on it, reads its points out. The page is
 * whole without it. It runs in any browser, so it is text here.
 */
export const CHART_SCRIPT = `"use strict";
for (const plot of document.querySelectorAll(".plot")) {
  const points = JSON.parse(plot.dataset.points);
  const output = plot.parentElement.querySelector("output");
  const cross = plot.querySelector(".cross");
  const dot = plot.querySelector(".dot");
  let at = -1;
  const show = (i) => {
    at = Math.max(0, Math.min(points.length - 1, i));
    const [x, y, text] = points[at];
    output.textContent = text;
    cross.hidden = false;
    dot.hidden = y < 0 || y > 1000;
    cross.style.left = dot.style.left = x / 10 + "%";
    dot.style.top = y / 10 + "%";
  };
  const hide = () => {
    at = -1;
    output.textContent = "";
    cross.hidden = dot.hidden = true;
  };
  const nearest = (x) => {
    let low = 0;
    let high = points.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < x) low = middle + 1;
      else high = middle;
    }
    return low > 0 && x - points[low - 1][0] < points[low][0] - x ? low - 1 : low;
  };
  const point = (event) => {
    const { left, width } = plot.getBoundingClientRect();
    show(nearest(((event.clientX - left) / width) * 1000));
  };
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  plot.addEventListener("pointerleave", hide);
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -Infinity, End: Infinity };
    const by = steps[event.key];
    if (by === undefined) return;
    event.preventDefault();
    show((at >= 0 ? at : by < 0 ? points.length : -1) + by);
  });
}
`;
