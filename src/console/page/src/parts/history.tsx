import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import type { Alert } from "../../generated/lodewatch/v1/alert_pb";
import type { Metric } from "../../generated/lodewatch/v1/types_pb";
import { figure, isShare, metricName, milliseconds } from "../text";

const HEIGHT = 220;
const DAY_SECONDS = 86_400;

/** The values of alerts over time. Values between two alerts are unknown, so the line has steps. */
export function History({
  alerts,
  metric,
  now,
}: {
  alerts: readonly Alert[];
  metric: Metric;
  now: { at: number; value: number } | undefined;
}) {
  const box = useRef<HTMLDivElement>(null);
  const dark = useDark();
  const data = useMemo(() => points(alerts, now), [alerts, now]);
  useEffect(() => {
    const holder = box.current;
    if (holder === null) return;
    const colour = (name: string) => getComputedStyle(holder).getPropertyValue(name).trim();
    const axis = {
      stroke: colour("--quiet"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line"), width: 1 },
    };
    const chart = new uPlot(
      {
        width: holder.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
        scales: {
          x: {
            range: (_, from, to) =>
              to - from < DAY_SECONDS ? [from - DAY_SECONDS / 2, to + DAY_SECONDS / 2] : [from, to],
          },
          y: { range: isShare(metric) ? [0, 1] : (_, __, top) => [0, Math.max(10_000, top)] },
        },
        axes: [
          {
            ...axis,
            space: 90,
            values: (_, ticks, __, ___, step) => ticks.map((tick) => day(tick, step)),
          },
          { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => figure(metric, tick)) },
        ],
        series: [
          {},
          {
            stroke: colour("--accent"),
            fill: colour("--accent-soft"),
            width: 2,
            paths: uPlot.paths.stepped?.({ align: 1 }),
            points: { show: true, size: 6, fill: colour("--accent") },
          },
        ],
      },
      data,
      holder,
    );
    const resized = new ResizeObserver(() =>
      chart.setSize({ width: holder.clientWidth, height: HEIGHT }),
    );
    resized.observe(holder);
    return () => (resized.disconnect(), chart.destroy());
  }, [data, metric, dark]);
  return (
    <div
      ref={box}
      class="history"
      role="img"
      aria-label={`${metricName(metric)} at ${alerts.length} alerts; the latest are listed below`}
    />
  );
}

function day(seconds: number, step: number): string {
  const iso = new Date(seconds * 1000).toISOString();
  return step < DAY_SECONDS ? iso.slice(11, 16) : iso.slice(0, 10);
}

function points(
  alerts: readonly Alert[],
  now: { at: number; value: number } | undefined,
): uPlot.AlignedData {
  const at: number[] = [];
  const values: number[] = [];
  const add = (time: number, value: number) => {
    const last = at.length - 1;
    if (last >= 0 && time <= (at[last] ?? 0)) values[last] = value;
    else (at.push(time), values.push(value));
  };
  for (const alert of [...alerts].reverse())
    add(milliseconds(alert.eventTime) / 1000, alert.value?.lower ?? 0);
  if (now !== undefined) add(now.at / 1000, now.value);
  return [at, values];
}

/** Whether the browser prefers dark colours. */
function useDark(): boolean {
  const query = useMemo(() => matchMedia("(prefers-color-scheme: dark)"), []);
  const [isDark, setDark] = useState(query.matches);
  useEffect(() => {
    const changed = () => setDark(query.matches);
    query.addEventListener("change", changed);
    return () => query.removeEventListener("change", changed);
  }, []);
  return isDark;
}
