import { useEffect, useState } from "preact/hooks";
import type { Alert } from "../../generated/lodewatch/v1/alert_pb";
import { Metric } from "../../generated/lodewatch/v1/types_pb";
import { alertService, isRefused, once, told } from "../api";
import { marketName } from "../live";
import { Arithmetic } from "../parts/arithmetic";
import { Drill, LevelBadge } from "../parts/level";
import * as text from "../text";

/** One alert: what happened, why, and how the value comes about. */
export function AlertView({ sequence }: { sequence: bigint }) {
  const [alert, setAlert] = useState<Alert | undefined>();
  const [fault, tell] = useState("");
  useEffect(() => {
    document.title = `Alert ${sequence} – Lodewatch`;
    alertService.getAlert({ sequence }, once).then(
      (answer) => setAlert(answer.alert),
      (error: unknown) => isRefused(error) === "no" && tell(told(error)),
    );
  }, [sequence]);
  return (
    <>
      <p class="crumb"><a href="#/alerts">Alerts</a></p>
      <div class="head"><h1 tabIndex={-1}>Alert {sequence.toString()}</h1>{alert !== undefined && <LevelBadge level={text.levelOfAlert(alert)} />}</div>
      {fault !== "" && <p class="fault" role="alert">{fault}</p>}
      {alert === undefined ? fault === "" && <p class="wait">Reading the alert …</p> : <Told alert={alert} />}
    </>
  );
}

function Told({ alert }: { alert: Alert }) {
  const report = alert.report;
  return (
    <>
      <p class="lead">{alert.exercise && <Drill />} {alert.sentence}</p>
      <dl class="facts">
        <div><dt>What</dt><dd>{text.kindName(alert.kind)}</dd></div>
        <div><dt>Market</dt><dd><a href={text.marketPath(alert.mineral, alert.stage)}>{marketName(alert.mineral, alert.stage)}</a></dd></div>
        <div><dt>Rule</dt><dd>{alert.rule}</dd></div>
        <div><dt>For</dt><dd>{alert.destination === "" ? "everyone" : text.destination(alert.destination)}</dd></div>
        <div><dt>{text.metricName(alert.metric)}</dt><dd>{text.interval(alert.metric, alert.value)}</dd></div>
        <div><dt>Before</dt><dd>{text.interval(alert.metric, alert.previousValue)}</dd></div>
        <div><dt>Threshold</dt><dd>{text.figure(alert.metric, alert.threshold)}</dd></div>
        <div><dt>Happened</dt><dd>{text.minute(alert.eventTime)} UTC</dd></div>
      </dl>
      {alert.contributions.length > 0 && <section><h2>How it adds up</h2><Arithmetic metric={alert.metric === Metric.UNSPECIFIED ? Metric.HHI : alert.metric} parts={alert.contributions} /></section>}
      <section>
        <h2>Why</h2>
        <p>Because of {text.causeName(alert)}.</p>
        {alert.threatEffects.length > 0 && (
          <ul>
            {alert.threatEffects.map((one) => (
              <li><strong>{one.threatId}</strong> of {text.country(one.imposing)}: {text.statusName(one.status)}, weight {one.weight}, {text.scopeName(one.scopeMatch)} match{one.reached.length > 0 && `, reaching ${one.reached.map(text.country).join(", ")}`}</li>
            ))}
          </ul>
        )}
        <p class="source">
          {report !== undefined && <>Report: {report.source} {report.period}, released {report.vintage}. </>}
          Episode {alert.episode.toString()}{alert.previousSequence > 0n && <>, after <a href={`#/alerts/${alert.previousSequence}`}>alert {alert.previousSequence.toString()}</a></>}.
          Policy of entry {alert.policyVersion.toString()}.
        </p>
      </section>
    </>
  );
}
