import { type Contribution, Metric } from "../../generated/lodewatch/v1/types_pb";
import { country, figure, isShare, metricName } from "../text";

/** A share in percent, exact to parts per million. */
function exact(ppm: number): string {
  return `${(ppm / 10_000).toLocaleString("en", { maximumFractionDigits: 4 })} %`;
}

/**
 * The calculation of a value: a line per country, then the sum. Contributions to the upper bound
 * only are marked.
 */
export function Arithmetic({ metric, parts }: { metric: Metric; parts: readonly Contribution[] }) {
  const shares = isShare(metric);
  const sum = (all: readonly Contribution[]) => all.reduce((total, part) => total + part.points, 0);
  const [lower, upper] = [sum(parts.filter((part) => !part.upperOnly)), sum(parts)];
  const isRest = metric === Metric.AVAILABLE_SHARE || metric === Metric.N_MINUS_1;
  return (
    <table class="arithmetic">
      <caption class="hidden">Contributions to {metricName(metric)}</caption>
      <thead>
        <tr>
          <th scope="col">Country</th>
          <th scope="col" class="number">
            Share{!shares && ", squared"}
          </th>
          {!shares && (
            <th scope="col" class="number">
              Weight
            </th>
          )}
          <th scope="col" class="number">
            Adds
          </th>
        </tr>
      </thead>
      <tbody>
        {parts.map((part) => (
          <tr
            class={part.upperOnly ? "rest" : undefined}
            key={part.country + String(part.upperOnly)}
          >
            <th scope="row">{part.country === "" ? "Unattributed" : country(part.country)}</th>
            <td class="number">{shares ? exact(part.sharePpm) : `(${exact(part.sharePpm)})²`}</td>
            {!shares && <td class="number">× {part.weightPermille / 1000}</td>}
            <td class="number">
              {part.upperOnly && "at most "}
              {figure(metric, part.points)}
            </td>
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row">
            {metricName(metric)}
            {isRest && ", 100 % minus this"}
          </th>
          <td /> {!shares && <td />}
          <td class="number">
            {figure(metric, lower)}
            {figure(metric, upper) !== figure(metric, lower) && ` to ${figure(metric, upper)}`}
          </td>
        </tr>
      </tfoot>
    </table>
  );
}
