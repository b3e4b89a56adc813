import { useEffect, useMemo, useState } from "preact/hooks";
import { type Alert, AlertKind, Exercises, Order } from "../../generated/lodewatch/v1/alert_pb";
import { type Market, MarketState } from "../../generated/lodewatch/v1/market_pb";
import { Level, Metric, Stage } from "../../generated/lodewatch/v1/types_pb";
import { alertService, authFailure, errorText, unary } from "../api";
import {
  alerts,
  destination,
  journalTime,
  marketKey,
  marketName,
  markets,
  policy,
  threats,
  today,
} from "../live";
import { Arithmetic } from "../parts/arithmetic";
import { Suppliers } from "../parts/bars";
import { History } from "../parts/history";
import { LevelBadge } from "../parts/level";
import { Scale } from "../parts/scale";
import { Timeline } from "../parts/timeline";
import { use } from "../store";
import * as text from "../text";
import { AlertLine } from "./alerts";

/** The limit of alerts in a market's history. */
const HISTORY_MAX = 1000;
/** How many of the latest alerts are listed. */
const LISTED = 8;

/** One market: suppliers, concentration, measures and history. */
export function MarketView({ mineral, stage }: { mineral: string; stage: Stage }) {
  const known = use(markets);
  const buyer = use(destination);
  const market = known?.get(marketKey({ mineral, stage }));
  const name = marketName(mineral, stage);
  useEffect(() => void (document.title = `${name} – Lodewatch`), [name]);
  if (market === undefined) {
    return (
      <>
        <h1 tabIndex={-1}>{name}</h1>
        <p class="wait">
          {known === undefined
            ? "Loading the market …"
            : "This market has no report and no threat."}
        </p>
      </>
    );
  }
  return (
    <>
      <Head market={market} name={name} buyer={buyer} />
      <div class="columns">
        <div>
          <section>
            <h2>Suppliers</h2>
            {market.state === MarketState.KNOWN ? (
              <Suppliers market={market} />
            ) : (
              <p>No report: the concentration is unknown.</p>
            )}
            <Report market={market} />
          </section>
          {market.hhiTContributions.length > 0 && (
            <section>
              <h2>
                HHI with t by country <small>for {text.destination(buyer)}</small>
              </h2>
              <Arithmetic metric={Metric.HHI_T} parts={market.hhiTContributions} />
            </section>
          )}
        </div>
        <section>
          <h2>Rules</h2>
          <Rules market={market} buyer={buyer} />
        </section>
      </div>
      <Threats market={market} />
      <Past market={market} buyer={buyer} />
    </>
  );
}

function Head({ market, name, buyer }: { market: Market; name: string; buyer: string }) {
  const value = (metric: Metric) => text.interval(metric, text.metricOf(market, metric));
  return (
    <>
      <p class="crumb">
        <a href="#/">Markets</a>
      </p>
      <div class="head">
        <h1 tabIndex={-1}>{name}</h1>
        <LevelBadge
          level={text.levelOf(market, buyer)}
          unknown={market.state === MarketState.UNKNOWN}
        />
      </div>
      <dl class="facts">
        <div>
          <dt>{market.leaders.length > 1 ? "Leaders" : "Leader"}</dt>
          <dd>{market.leaders.map(text.country).join(", ") || "–"}</dd>
        </div>
        <div>
          <dt>Largest share</dt>
          <dd>{value(Metric.TOP1_SHARE)}</dd>
        </div>
        <div>
          <dt>HHI</dt>
          <dd>{value(Metric.HHI)}</dd>
        </div>
        <div>
          <dt>HHI with t</dt>
          <dd>{value(Metric.HHI_T)}</dd>
        </div>
        <div>
          <dt>Restricted for {text.destination(buyer)}</dt>
          <dd>{value(Metric.RESTRICTED_SHARE)}</dd>
        </div>
        <div>
          <dt>Share without the largest</dt>
          <dd>{value(Metric.N_MINUS_1)}</dd>
        </div>
      </dl>
    </>
  );
}

function Report({ market }: { market: Market }) {
  const report = market.report;
  if (report === undefined) return null;
  const others = market.otherReports.map((one) => `${one.source} ${one.period} of ${one.vintage}`);
  const link = /^https?:\/\//.test(market.url) ? market.url : "";
  return (
    <p class="source">
      {report.source} {report.period}, released {report.vintage}
      {market.flags.map((flag) => (
        <> · {text.flagName(flag)}</>
      ))}
      {link !== "" && (
        <>
          {" "}
          ·{" "}
          <a href={link} target="_blank" rel="noopener noreferrer">
            source
          </a>
        </>
      )}
      {others.length > 0 && (
        <>
          <br />
          Other reports: {others.join("; ")}
          {text.more(market.otherReportsOmitted)}
        </>
      )}
    </p>
  );
}

/** Every rule with a value on this market, on its scale, and the active alerts. */
function Rules({ market, buyer }: { market: Market; buyer: string }) {
  const rules = (use(policy)?.rules ?? []).filter(
    (rule) =>
      (rule.stages.length === 0 || rule.stages.includes(market.stage)) &&
      rule.measures.length === 0 &&
      (rule.minerals.length === 0 || rule.minerals.includes(market.mineral)) &&
      text.metricOf(market, rule.metric) !== undefined,
  );
  const active = market.ruleStatuses.filter(
    (one) => one.level !== Level.UNSPECIFIED || one.indeterminate || one.stale,
  );
  return (
    <>
      {rules.map((rule) => (
        <Scale
          key={rule.name}
          metric={rule.metric}
          value={text.metricOf(market, rule.metric)!}
          rule={rule}
        />
      ))}
      {rules.length === 0 && <p>No rule applies to this market.</p>}
      {active.length > 0 && (
        <table class="statuses">
          <caption>Active alerts</caption>
          <tbody>
            {active.map((one) => (
              <tr
                class={text.isFor(one, buyer) ? undefined : "other"}
                key={one.rule + one.destination}
              >
                <td>
                  <LevelBadge level={one.level} />
                </td>
                <th scope="row">{one.rule}</th>
                <td>{one.destination === "" ? "" : `for ${text.destination(one.destination)}`}</td>
                <td>
                  {[
                    one.indeterminate && "may be higher",
                    one.stale && "stale",
                    one.flapping && "flapping",
                  ]
                    .filter(Boolean)
                    .join(", ")}
                </td>
                <td class="number">
                  {one.latestSequence > 0n && <a href={`#/alerts/${one.latestSequence}`}>alert</a>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {market.ruleStatusesOmitted > 0 && (
        <p class="source">… {text.more(market.ruleStatusesOmitted)} with lower levels</p>
      )}
    </>
  );
}

function Threats({ market }: { market: Market }) {
  const affecting = new Set(market.threatEffects.map((one) => one.threatId));
  const day = use(today);
  const records = (use(threats) ?? []).filter((record) => affecting.has(record.threat?.id ?? ""));
  const order = (one: string) => (one === "" ? "9999" : one);
  records.sort((one, other) => order(one.nextBoundary).localeCompare(order(other.nextBoundary)));
  return (
    <section>
      <h2>Measures</h2>
      {records.length === 0 ? (
        <p>No export-control measure affects this market.</p>
      ) : (
        <Timeline records={records} today={day} />
      )}
      {market.threatEffectsOmitted > 0 && (
        <p class="source">… {text.more(market.threatEffectsOmitted)} with lower weights</p>
      )}
    </section>
  );
}

/**
 * Past alerts of this market: the values of one rule as a chart, and the latest alerts as a list.
 */
function Past({ market, buyer }: { market: Market; buyer: string }) {
  const { past, error } = usePast(market);
  const rules = use(policy)?.rules ?? [];
  const mine = useMemo(
    () => past.filter((alert) => text.isFor(alert, buyer) && alert.kind !== AlertKind.NOTICE),
    [past, buyer],
  );
  const often = (rule: string) => mine.filter((alert) => alert.rule === rule).length;
  const names = [...new Set(mine.map((alert) => alert.rule))].sort(
    (one, other) => often(other) - often(one) || one.localeCompare(other),
  );
  const [chosen, choose] = useState("");
  const name = names.includes(chosen) ? chosen : names[0];
  const drawn = useMemo(() => mine.filter((alert) => alert.rule === name), [mine, name]);
  const metric = drawn[0]?.metric;
  // A market has no values for rules that count only some measures.
  const isPlain = rules.some(
    (rule) => rule.name === name && rule.measures.length === 0 && rule.confidence.length === 0,
  );
  const value = metric === undefined || !isPlain ? undefined : text.metricOf(market, metric)?.lower;
  const now = useMemo(
    () => (value === undefined ? undefined : { at: journalTime, value }),
    [drawn, value],
  );
  return (
    <section>
      <h2>History</h2>
      {error !== "" && (
        <p class="fault" role="alert">
          {error}
        </p>
      )}
      {metric === undefined ? (
        <p>
          No level has changed on this market{past.length > 0 && ` for ${text.destination(buyer)}`}.
        </p>
      ) : (
        <>
          <div class="choice" role="group" aria-label="The rule of the chart">
            {names.map((one) => (
              <button aria-pressed={one === name} onClick={() => choose(one)}>
                {one}
              </button>
            ))}
          </div>
          <History alerts={drawn} metric={metric} now={now} />
          <p class="source">
            {text.metricName(metric)}: the lower bound at each alert
            {now !== undefined && ", and now"}. Values between two alerts are not drawn.
          </p>
        </>
      )}
      <div class="latest" role="list">
        {past.slice(0, LISTED).map((alert) => (
          <div role="listitem" key={alert.sequence.toString()}>
            <AlertLine alert={alert} />
          </div>
        ))}
      </div>
    </section>
  );
}

/** Reads the latest alerts of a market, on as many pages as it takes. */
async function readPast(mineral: string, stage: Stage): Promise<Alert[]> {
  const filter = { minerals: [mineral], stages: [stage], exercises: Exercises.INCLUDE };
  const read: Alert[] = [];
  let pageToken = "";
  do {
    const pageSize = HISTORY_MAX - read.length;
    const request = { filter, order: Order.NEWEST_FIRST, pageSize, pageToken };
    const page = await alertService.listAlerts(request, unary);
    read.push(...page.alerts);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && read.length < HISTORY_MAX);
  return read;
}

/** The latest alerts of a market, loaded again whenever a new one arrives. */
function usePast(market: Market): { past: readonly Alert[]; error: string } {
  const [past, setPast] = useState<readonly Alert[]>([]);
  const [error, setError] = useState("");
  const { mineral, stage } = market;
  const last = use(alerts).all.find(
    (alert) => alert.mineral === mineral && alert.stage === stage,
  )?.sequence;
  useEffect(() => {
    let isOver = false;
    readPast(mineral, stage)
      .then(
        (read) => isOver || (setPast(read), setError("")),
        (failure: unknown) =>
          isOver || authFailure(failure) !== "none" || setError(errorText(failure)),
      );
    return () => void (isOver = true);
  }, [mineral, stage, last]);
  return { past, error };
}
