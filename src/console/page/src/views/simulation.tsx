import { useEffect, useMemo, useState } from "preact/hooks";
import { type MessageInitShape, clone } from "@bufbuild/protobuf";
import { Exercises } from "../../generated/lodewatch/v1/alert_pb";
import type { UpdateSchema } from "../../generated/lodewatch/v1/feed_pb";
import { type Market, MarketState } from "../../generated/lodewatch/v1/market_pb";
import type { MarketChange, SimulateResponse } from "../../generated/lodewatch/v1/policy_pb";
import { Level, Measure, Metric, Stage, ThreatSchema } from "../../generated/lodewatch/v1/types_pb";
import { authFailure, errorText, policyService, unary } from "../api";
import { destination, marketKey, markets, threats, today } from "../live";
import { LevelBadge } from "../parts/level";
import { use } from "../store";
import * as text from "../text";
import { AlertLine } from "./alerts";

type Update = MessageInitShape<typeof UpdateSchema>;
type Kind = "measure" | "end" | "share";

/** How many of the simulated alerts are listed. */
const LISTED = 50;
const measures = Object.values(Measure).filter(
  (one): one is Measure => typeof one === "number" && one !== Measure.UNSPECIFIED,
);

/**
 * A form for a simulation, and its result: markets before and after, and alerts. It publishes
 * nothing.
 */
export function SimulationView() {
  const [kind, setKind] = useState<Kind>("measure");
  const [result, setResult] = useState<SimulateResponse | undefined>();
  const [error, setError] = useState("");
  const [isBusy, setBusy] = useState(false);
  const buyer = use(destination);
  const day = use(today);
  const fields = { measure: <NewMeasure />, end: <EndOfMeasure />, share: <NewShare /> };
  useEffect(() => void (document.title = "What if – Lodewatch"), []);
  const simulate = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    try {
      const date = field(form, "date") || day;
      const until = [field(form, "until"), date > day ? date : ""].sort().at(-1) ?? "";
      const filter = { exercises: Exercises.INCLUDE };
      const request = {
        updates: [update(kind, form, date, day)],
        until,
        destination: buyer,
        filter,
      };
      setResult(await policyService.simulate(request, unary));
      setError("");
    } catch (failure) {
      setResult(undefined);
      if (authFailure(failure) !== "credentials")
        setError(failure instanceof Incomplete ? failure.message : errorText(failure));
    }
    setBusy(false);
  };
  return (
    <>
      <div class="head">
        <h1 tabIndex={-1}>
          What if <small>a simulation: nothing is published</small>
        </h1>
      </div>
      <form class="simulation" onSubmit={simulate}>
        <div class="choice" role="group" aria-label="What changes">
          <button
            type="button"
            aria-pressed={kind === "measure"}
            onClick={() => setKind("measure")}
          >
            A new measure
          </button>
          <button type="button" aria-pressed={kind === "end"} onClick={() => setKind("end")}>
            A measure ends
          </button>
          <button type="button" aria-pressed={kind === "share"} onClick={() => setKind("share")}>
            A different share
          </button>
        </div>
        <div class="fields">
          {fields[kind]}
          <label>
            Simulate until
            <input name="until" type="date" min={day} />
          </label>
        </div>
        <button class="primary" disabled={isBusy}>
          {isBusy ? "Simulating …" : "Simulate"}
        </button>
      </form>
      {error !== "" && (
        <p class="fault" role="alert">
          {error}
        </p>
      )}
      {result !== undefined && <Result result={result} buyer={buyer} />}
    </>
  );
}

/** A required field is empty. */
class Incomplete extends Error {}

function field(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value.trim() : "";
}

function update(kind: Kind, form: FormData, date: string, day: string): Update {
  if (kind === "share") return { update: { case: "report", value: changedReport(form, day) } };
  if (kind === "end") {
    const id = field(form, "threat");
    const threat = threats.get()?.find((record) => record.threat?.id === id)?.threat;
    if (threat === undefined) throw new Incomplete("Choose a measure.");
    return {
      update: {
        case: "threat",
        value: { ...clone(ThreatSchema, threat), dateRemoved: date, revision: 0n },
      },
    };
  }
  const minerals = field(form, "minerals")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const stage: Stage = Number(field(form, "stage"));
  const toward = field(form, "toward");
  return {
    update: {
      case: "threat",
      value: {
        id: "SIMULATED",
        title: "Simulated measure",
        imposing: field(form, "imposing"),
        minerals,
        stages: stage === Stage.UNSPECIFIED ? [] : [stage],
        measure: Number(field(form, "measure")),
        destination: toward === "" ? undefined : { only: [toward] },
        dateAnnounced: date < day ? date : day,
        dateEffective: date,
      },
    },
  };
}

/**
 * The report in force with a different share of one country; the other shares keep their
 * proportions.
 */
function changedReport(form: FormData, day: string) {
  const market = markets.get()?.get(field(form, "market"));
  if (market?.report === undefined) throw new Incomplete("Choose a market.");
  const code = field(form, "country");
  const share = Number(field(form, "share")) / 100;
  const before = market.suppliers.find((one) => one.country === code)?.share ?? 0;
  const rest = before < 1 ? (1 - share) / (1 - before) : 0;
  const others = market.suppliers.filter((one) => one.country !== code);
  const figure = (one: { withheld: boolean; share?: number }) =>
    one.withheld
      ? { case: "withheld" as const, value: true }
      : { case: "share" as const, value: (one.share ?? 0) * rest };
  return {
    mineral: market.mineral,
    stage: market.stage,
    source: market.report.source,
    period: market.report.period,
    vintage: day,
    rows: [
      { country: code, figure: { case: "share" as const, value: share } },
      ...others.map((one) => ({ country: one.country, figure: figure(one) })),
    ],
    other: market.residual * rest,
  };
}

function Countries({
  name,
  label,
  first,
  value,
}: {
  name: string;
  label: string;
  first?: string;
  value?: string;
}) {
  return (
    <label>
      {label}
      <select name={name} required={first === undefined}>
        {first !== undefined && <option value="">{first}</option>}
        {text.countryCodes.map((code) => (
          <option value={code} selected={code === value}>
            {text.country(code)}
          </option>
        ))}
      </select>
    </label>
  );
}

function NewMeasure() {
  const day = use(today);
  const known = use(markets);
  const minerals = useMemo(
    () => [...new Set([...(known?.values() ?? [])].map((market) => market.mineral))],
    [known],
  );
  return (
    <>
      <Countries name="imposing" label="Imposing country" value="CHN" />
      <label>
        Measure
        <select name="measure">
          {measures.map((one) => (
            <option value={one}>{text.measureName(one)}</option>
          ))}
        </select>
      </label>
      <label>
        Minerals, separated by commas
        <input
          name="minerals"
          required
          list="minerals"
          placeholder="gallium, germanium"
          autocomplete="off"
        />
      </label>
      <datalist id="minerals">
        {minerals.map((one) => (
          <option value={one} />
        ))}
      </datalist>
      <label>
        Stage
        <select name="stage">
          <option value={Stage.UNSPECIFIED}>both</option>
          {text.stages.map((one) => (
            <option value={one}>{text.stageName(one)}</option>
          ))}
        </select>
      </label>
      <Countries name="toward" label="Destination" first="all buyers" />
      <label>
        In force from
        <input name="date" type="date" defaultValue={day} />
      </label>
    </>
  );
}

function EndOfMeasure() {
  const day = use(today);
  const open = (use(threats) ?? []).filter((record) => record.threat?.dateRemoved === "");
  return (
    <>
      <label class="wide">
        Measure
        <select name="threat" required>
          {open.map(({ threat }) => (
            <option
              value={threat?.id}
            >{`${text.country(threat?.imposing ?? "")}: ${threat?.title || threat?.id}`}</option>
          ))}
        </select>
      </label>
      <label>
        Ends on
        <input name="date" type="date" defaultValue={day} />
      </label>
    </>
  );
}

function NewShare() {
  const known = [...(use(markets)?.values() ?? [])].filter(
    (market) => market.state === MarketState.KNOWN,
  );
  return (
    <>
      <label>
        Market
        <select name="market" required>
          {known.map((market) => (
            <option
              value={marketKey(market)}
            >{`${text.capital(market.name)} ${text.stageName(market.stage)}`}</option>
          ))}
        </select>
      </label>
      <Countries name="country" label="Country" value="CHN" />
      <label>
        Share in percent
        <input
          name="share"
          type="number"
          min="0"
          max="100"
          step="0.1"
          required
          inputMode="decimal"
        />
      </label>
      <p class="hint">The other shares keep their proportions.</p>
    </>
  );
}

function Result({ result, buyer }: { result: SimulateResponse; buyer: string }) {
  const { markets: changes, alerts } = result;
  return (
    <section class="result" aria-live="polite">
      <h2>
        {changes.length === 0
          ? "No markets would change"
          : `${text.count(result.marketsTotal)} market${result.marketsTotal === 1n ? "" : "s"} would change`}{" "}
        <small>
          by {text.day(result.journalTime)}, for {text.destination(buyer)}
        </small>
      </h2>
      {changes.length > 0 && (
        <table class="changes">
          <thead>
            <tr>
              <th scope="col">Market</th>
              <th scope="col">Level</th>
              <th scope="col" class="number">
                Largest share
              </th>
              <th scope="col" class="number">
                HHI
              </th>
              <th scope="col" class="number">
                HHI with t
              </th>
              <th scope="col" class="number">
                Restricted
              </th>
            </tr>
          </thead>
          <tbody>
            {changes.map((change) => (
              <Change key={marketKey(change.after!)} change={change} buyer={buyer} />
            ))}
          </tbody>
        </table>
      )}
      {changes.length < Number(result.marketsTotal) && (
        <p class="source">… {text.more(Number(result.marketsTotal) - changes.length)}</p>
      )}
      <h2>
        {result.alertsTotal === 0n
          ? "No alerts would be emitted"
          : `${text.count(result.alertsTotal)} alert${result.alertsTotal === 1n ? "" : "s"} would be emitted`}
      </h2>
      <div class="latest" role="list">
        {alerts.slice(0, LISTED).map((alert) => (
          <div role="listitem" key={alert.sequence.toString()}>
            <AlertLine alert={alert} isSent={false} />
          </div>
        ))}
      </div>
      {alerts.length > LISTED && (
        <p class="source">The first {LISTED} alerts. For all of them, use: lodewatch simulate</p>
      )}
    </section>
  );
}

function Change({ change, buyer }: { change: MarketChange; buyer: string }) {
  const { before, after } = change;
  if (after === undefined) return null;
  const level = (market: Market | undefined) =>
    market === undefined ? Level.UNSPECIFIED : text.levelOf(market, buyer);
  const badge = (market: Market | undefined) => (
    <LevelBadge level={level(market)} unknown={market?.state !== MarketState.KNOWN} />
  );
  const cell = (metric: Metric, label: string) => {
    const [then, now] = [
      text.interval(metric, text.metricOf(before, metric)),
      text.interval(metric, text.metricOf(after, metric)),
    ];
    return (
      <td class="number" data-label={label}>
        {then === now ? (
          now
        ) : (
          <>
            <s aria-label={`before: ${then}`}>{then}</s> <span aria-hidden="true">→</span>{" "}
            <strong>{now}</strong>
          </>
        )}
      </td>
    );
  };
  return (
    <tr data-market={marketKey(after)}>
      <th scope="row">
        <a href={text.marketPath(after.mineral, after.stage)}>
          {text.capital(after.name)} {text.stageName(after.stage)}
        </a>
      </th>
      <td data-label="Level">
        {level(before) !== level(after) && (
          <>
            {badge(before)} <span aria-hidden="true">→</span>{" "}
          </>
        )}
        {badge(after)}
      </td>
      {cell(Metric.TOP1_SHARE, "Largest share")}
      {cell(Metric.HHI, "HHI")}
      {cell(Metric.HHI_T, "HHI with t")}
      {cell(Metric.RESTRICTED_SHARE, "Restricted")}
    </tr>
  );
}
