import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { Alert } from "../../generated/lodewatch/v1/alert_pb";
import type { Metric } from "../../generated/lodewatch/v1/types_pb";
import { figure, isShare, metricName, milliseconds } from "../text";

const HEIGHT = 220;
/** In seconds. */
const DAY = 86_400;

/** A value over time as alerts tell it: it moves at each alert, and what it did between two of them nobody was told. */
export function History({ told, metric, now }: { told: readonly Alert[]; metric: Metric; now: { at: number; value: number } | undefined }) {
  const box = useRef<HTMLDivElement>(null);
  const dark = useDark();
  const data = useMemo(() => points(told, now), [told, now]);
  useEffect(() => {
    const holder = box.current;
    if (holder === null) return;
    const colour = (name: string) => getComputedStyle(holder).getPropertyValue(name).trim();
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const chart = new uPlot({
      width: holder.clientWidth,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      scales: { x: { range: (_, from, to) => (to - from < DAY ? [from - DAY / 2, to + DAY / 2] : [from, to]) }, y: { range: isShare(metric) ? [0, 1] : (_, __, top) => [0, Math.max(10_000, top)] } },
      axes: [{ ...axis, space: 90, values: (_, ticks, __, ___, step) => ticks.map((tick) => day(tick, step)) }, { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => figure(metric, tick)) }],
      series: [{}, {
        stroke: colour("--accent"), fill: colour("--accent-soft"), width: 2,
        paths: uPlot.paths.stepped?.({ align: 1 }), points: { show: true, size: 6, fill: colour("--accent") },
      }],
    }, data, holder);
    const seen = new ResizeObserver(() => chart.setSize({ width: holder.clientWidth, height: HEIGHT }));
    seen.observe(holder);
    return () => (seen.disconnect(), chart.destroy());
  }, [data, metric, dark]);
  return <div ref={box} class="history" role="img" aria-label={`${metricName(metric)} at ${told.length} alerts; the list below has every one`} />;
}

function day(seconds: number, step: number): string {
  const iso = new Date(seconds * 1000).toISOString();
  return step < DAY ? iso.slice(11, 16) : iso.slice(0, 10);
}

function points(told: readonly Alert[], now: { at: number; value: number } | undefined): uPlot.AlignedData {
  const at: number[] = [];
  const values: number[] = [];
  const add = (time: number, value: number) => {
    const last = at.length - 1;
    if (last >= 0 && time <= (at[last] ?? 0)) values[last] = value;
    else at.push(time), values.push(value);
  };
  for (const alert of [...told].reverse()) add(milliseconds(alert.eventTime) / 1000, alert.value?.lower ?? 0);
  if (now !== undefined) add(now.at / 1000, now.value);
  return [at, values];
}

/** Whether the browser wants dark colours now. */
function useDark(): boolean {
  const query = useMemo(() => matchMedia("(prefers-color-scheme: dark)"), []);
  const [is, turn] = useState(query.matches);
  useEffect(() => {
    const turned = () => turn(query.matches);
    query.addEventListener("change", turned);
    return () => query.removeEventListener("change", turned);
  }, []);
  return is;
}
