import type { Market, Supplier } from "../../generated/lodewatch/v1/market_pb";
import { country, percent } from "../text";

/** The suppliers, largest share first, with a bar beside each figure. */
export function Suppliers({ market }: { market: Market }) {
  return (
    <table class="bars">
      <caption class="hidden">Suppliers with share and trade weight</caption>
      <thead>
        <tr>
          <th scope="col">Country</th>
          <th scope="col">
            <span class="hidden">Share as a bar</span>
          </th>
          <th scope="col" class="number">
            Share
          </th>
          <th scope="col" class="number">
            Weight
          </th>
        </tr>
      </thead>
      <tbody>
        {market.suppliers.map((one) => (
          <Bar key={one.country} one={one} />
        ))}
        {market.residualPpm > 0 && (
          <tr class="rest">
            <th scope="row">Unattributed</th>
            <td class="track">
              <i class="rest" style={{ width: `${market.residual * 100}%` }} />
            </td>
            <td class="number">{percent(market.residual)}</td>
            <td class="number">–</td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

function Bar({ one }: { one: Supplier }) {
  return (
    <tr class={one.restricted ? "restricted" : undefined}>
      <th scope="row">
        {country(one.country)}
        {one.restricted && <span class="tag">restricts</span>}
        {one.estimated && <abbr title="An estimate of the source">est.</abbr>}
      </th>
      <td class="track">
        <i
          class={one.restricted ? "restricted" : undefined}
          style={{ width: `${(one.share ?? 0) * 100}%` }}
        />
      </td>
      <td class="number">{one.withheld ? "withheld" : percent(one.share ?? 0)}</td>
      <td class="number">{one.weight === 1 ? "1" : `× ${one.weight}`}</td>
    </tr>
  );
}
