import type { Rule } from "../../generated/lodewatch/v1/policy_pb";
import type { Interval, Metric } from "../../generated/lodewatch/v1/types_pb";
import { figure, interval, isFalling, isShare, levelName, metricName } from "../text";

/** A value, as an interval, on a scale with the thresholds of a rule. */
export function Scale({ metric, value, rule }: { metric: Metric; value: Interval; rule: Rule }) {
  const raises = rule.thresholds.map((one) => one.raise);
  const end = isShare(metric) ? 1 : Math.max(10_000, value.upper, ...raises);
  const at = (figure: number) => `${Math.min(100, (figure / end) * 100)}%`;
  const place = (from: number, to: number) => ({
    left: at(from),
    width: `${Math.max(0, (to - from) / end) * 100}%`,
  });
  const order = [...rule.thresholds].sort((one, other) => one.raise - other.raise);
  const bands = isFalling(metric)
    ? order.map((one, index) => ({
        level: one.level,
        from: order[index - 1]?.raise ?? 0,
        to: one.raise,
      }))
    : order.map((one, index) => ({
        level: one.level,
        from: one.raise,
        to: order[index + 1]?.raise ?? end,
      }));
  return (
    <figure class="scale">
      <figcaption>
        <span>
          {metricName(metric)} <small>rule {rule.name}</small>
        </span>
        <strong>{interval(metric, value)}</strong>
      </figcaption>
      <div class="line" aria-hidden="true">
        {bands.map((band) => (
          <i class={`band ${levelName(band.level)}`} style={place(band.from, band.to)} />
        ))}
        <i
          class="value"
          style={{
            left: at(value.lower),
            width: `max(4px, ${((value.upper - value.lower) / end) * 100}%)`,
          }}
        />
      </div>
      <ul>
        {order.map((one) => (
          <li class={levelName(one.level)}>
            {levelName(one.level)} {isFalling(metric) ? "up to" : "from"}{" "}
            {figure(metric, one.raise)}
          </li>
        ))}
      </ul>
    </figure>
  );
}
