import { useEffect, useMemo, useState } from "preact/hooks";
import { type Alert, AlertKind, Exercises, Order } from "../../generated/lodewatch/v1/alert_pb";
import { type Market, MarketState } from "../../generated/lodewatch/v1/market_pb";
import { Level, Metric, Stage } from "../../generated/lodewatch/v1/types_pb";
import { alertService, isRefused, once, told as toldFault } from "../api";
import { alerts, destination, journalTime, marketKey, marketName, markets, policy, threats, today } from "../live";
import { Arithmetic } from "../parts/arithmetic";
import { Suppliers } from "../parts/bars";
import { History } from "../parts/history";
import { LevelBadge } from "../parts/level";
import { Scale } from "../parts/scale";
import { Timeline } from "../parts/timeline";
import { use } from "../store";
import * as text from "../text";
import { AlertLine } from "./alerts";

/** The most alerts that a market's history is drawn of. */
const HISTORY_MAX = 1000;
/** Of these, the latest are listed. */
const LISTED = 8;

/** One market: who supplies, how concentrated it is, what it was, and what threatens it. */
export function MarketView({ mineral, stage }: { mineral: string; stage: Stage }) {
  const known = use(markets);
  const buyer = use(destination);
  const market = known?.get(marketKey({ mineral, stage }));
  const name = marketName(mineral, stage);
  useEffect(() => void (document.title = `${name} – Lodewatch`), [name]);
  if (market === undefined) {
    return <><h1 tabIndex={-1}>{name}</h1><p class="wait">{known === undefined ? "Reading the market …" : "Nothing was ever said of this market."}</p></>;
  }
  return (
    <>
      <Head market={market} name={name} buyer={buyer} />
      <div class="columns">
        <div>
          <section>
            <h2>Suppliers</h2>
            {market.state === MarketState.KNOWN ? <Suppliers market={market} /> : <p>No report: unknown, which is not unconcentrated.</p>}
            <Report market={market} />
          </section>
          {market.hhiTContributions.length > 0 && (
            <section><h2>HHI with t, part by part <small>for {text.destination(buyer)}</small></h2><Arithmetic metric={Metric.HHI_T} parts={market.hhiTContributions} /></section>
          )}
        </div>
        <section>
          <h2>Against the rules</h2>
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
      <p class="crumb"><a href="#/">Markets</a></p>
      <div class="head"><h1 tabIndex={-1}>{name}</h1><LevelBadge level={text.levelOf(market, buyer)} unknown={market.state === MarketState.UNKNOWN} /></div>
      <dl class="facts">
        <div><dt>{market.leaders.length > 1 ? "Leaders" : "Leader"}</dt><dd>{market.leaders.map(text.country).join(", ") || "–"}</dd></div>
        <div><dt>Largest share</dt><dd>{value(Metric.TOP1_SHARE)}</dd></div>
        <div><dt>HHI</dt><dd>{value(Metric.HHI)}</dd></div>
        <div><dt>HHI with t</dt><dd>{value(Metric.HHI_T)}</dd></div>
        <div><dt>Restricted for {text.destination(buyer)}</dt><dd>{value(Metric.RESTRICTED_SHARE)}</dd></div>
        <div><dt>Left without the largest</dt><dd>{value(Metric.N_MINUS_1)}</dd></div>
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
      {market.flags.map((flag) => <> · {text.flagName(flag)}</>)}
      {link !== "" && <> · <a href={link} target="_blank" rel="noopener noreferrer">source</a></>}
      {others.length > 0 && <><br />Also on record: {others.join("; ")}</>}
    </p>
  );
}

/** Every rule with a value here, on its scale, and what is up for whom. */
function Rules({ market, buyer }: { market: Market; buyer: string }) {
  const rules = (use(policy)?.rules ?? []).filter((rule) =>
    (rule.stages.length === 0 || rule.stages.includes(market.stage)) && rule.measures.length === 0
    && (rule.minerals.length === 0 || rule.minerals.includes(market.mineral))
    && text.metricOf(market, rule.metric) !== undefined);
  const up = market.ruleStatuses.filter((one) => one.level !== Level.UNSPECIFIED || one.indeterminate || one.stale);
  return (
    <>
      {rules.map((rule) => <Scale key={rule.name} metric={rule.metric} value={text.metricOf(market, rule.metric)!} rule={rule} />)}
      {rules.length === 0 && <p>No rule is about a value of this market.</p>}
      {up.length > 0 && (
        <table class="standings">
          <caption>What is up</caption>
          <tbody>
            {up.map((one) => (
              <tr class={text.isFor(one, buyer) ? undefined : "other"} key={one.rule + one.destination}>
                <td><LevelBadge level={one.level} /></td>
                <th scope="row">{one.rule}</th>
                <td>{one.destination === "" ? "" : `for ${text.destination(one.destination)}`}</td>
                <td>{[one.indeterminate && "may be graver", one.stale && "stale", one.flapping && "flapping"].filter(Boolean).join(", ")}</td>
                <td class="number">{one.latestSequence > 0n && <a href={`#/alerts/${one.latestSequence}`}>why</a>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function Threats({ market }: { market: Market }) {
  const bearing = new Set(market.threatEffects.map((one) => one.threatId));
  const day = use(today);
  const records = (use(threats) ?? []).filter((record) => bearing.has(record.threat?.id ?? ""));
  const order = (one: string) => (one === "" ? "9999" : one);
  records.sort((one, other) => order(one.nextBoundary).localeCompare(order(other.nextBoundary)));
  return (
    <section>
      <h2>Measures</h2>
      {records.length === 0 ? <p>No export-control measure on record bears on this market.</p> : <Timeline records={records} today={day} />}
    </section>
  );
}

/** What was told of this market: by one rule as a line, and the latest as a list. */
function Past({ market, buyer }: { market: Market; buyer: string }) {
  const { past, fault } = usePast(market);
  const rules = use(policy)?.rules ?? [];
  const mine = useMemo(() => past.filter((alert) => text.isFor(alert, buyer) && alert.kind !== AlertKind.NOTICE), [past, buyer]);
  const often = (rule: string) => mine.filter((alert) => alert.rule === rule).length;
  const names = [...new Set(mine.map((alert) => alert.rule))].sort((one, other) => often(other) - often(one) || one.localeCompare(other));
  const [chosen, choose] = useState("");
  const name = names.includes(chosen) ? chosen : names[0];
  const told = useMemo(() => mine.filter((alert) => alert.rule === name), [mine, name]);
  const metric = told[0]?.metric;
  // What a rule measures that counts some measures only, no market says.
  const isPlain = rules.some((rule) => rule.name === name && rule.measures.length === 0 && rule.confidence.length === 0);
  const value = metric === undefined || !isPlain ? undefined : text.metricOf(market, metric)?.lower;
  const now = useMemo(() => (value === undefined ? undefined : { at: journalTime, value }), [told, value]);
  return (
    <section>
      <h2>History</h2>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {metric === undefined ? <p>No level ever changed on this market{past.length > 0 && ` for ${text.destination(buyer)}`}.</p> : (
        <>
          <div class="choice" role="group" aria-label="The rule whose value is drawn">
            {names.map((one) => <button aria-pressed={one === name} onClick={() => choose(one)}>{one}</button>)}
          </div>
          <History told={told} metric={metric} now={now} />
          <p class="source">{text.metricName(metric)}: the certain bound at each alert{now !== undefined && ", and now"}. What it did between two alerts is not drawn.</p>
        </>
      )}
      <div class="latest" role="list">
        {past.slice(0, LISTED).map((alert) => <div role="listitem" key={alert.sequence.toString()}><AlertLine alert={alert} /></div>)}
      </div>
    </section>
  );
}

/** The latest alerts of a market, read again whenever another comes. */
function usePast(market: Market): { past: readonly Alert[]; fault: string } {
  const [past, setPast] = useState<readonly Alert[]>([]);
  const [fault, tell] = useState("");
  const { mineral, stage } = market;
  const last = use(alerts).all.find((alert) => alert.mineral === mineral && alert.stage === stage)?.sequence;
  useEffect(() => {
    let isOver = false;
    const filter = { minerals: [mineral], stages: [stage], exercises: Exercises.INCLUDE };
    alertService.listAlerts({ filter, order: Order.NEWEST_FIRST, pageSize: HISTORY_MAX }, once).then(
      (page) => isOver || (setPast(page.alerts), tell("")),
      (error: unknown) => isOver || isRefused(error) !== "no" || tell(toldFault(error)),
    );
    return () => void (isOver = true);
  }, [mineral, stage, last]);
  return { past, fault };
}
