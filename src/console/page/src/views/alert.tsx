import { useEffect, useState } from "preact/hooks";
import type { Alert } from "../../generated/lodewatch/v1/alert_pb";
import { Metric } from "../../generated/lodewatch/v1/types_pb";
import { alertService, authFailure, errorText, unary } from "../api";
import { marketName } from "../live";
import { Arithmetic } from "../parts/arithmetic";
import { ExerciseTag, LevelBadge } from "../parts/level";
import * as text from "../text";

/** One alert with its cause and the calculation of its value. */
export function AlertView({ sequence }: { sequence: bigint }) {
  const [alert, setAlert] = useState<Alert | undefined>();
  const [error, setError] = useState("");
  useEffect(() => {
    document.title = `Alert ${sequence} – Lodewatch`;
    alertService.getAlert({ sequence }, unary).then(
      (response) => setAlert(response.alert),
      (failure: unknown) => authFailure(failure) === "none" && setError(errorText(failure)),
    );
  }, [sequence]);
  return (
    <>
      <p class="crumb">
        <a href="#/alerts">Alerts</a>
      </p>
      <div class="head">
        <h1 tabIndex={-1}>Alert {sequence.toString()}</h1>
        {alert !== undefined && <LevelBadge level={text.levelOfAlert(alert)} />}
      </div>
      {error !== "" && (
        <p class="fault" role="alert">
          {error}
        </p>
      )}
      {alert === undefined ? (
        error === "" && <p class="wait">Loading the alert …</p>
      ) : (
        <Details alert={alert} />
      )}
    </>
  );
}

function Details({ alert }: { alert: Alert }) {
  const report = alert.report;
  return (
    <>
      <p class="lead">
        {alert.exercise && <ExerciseTag />} {alert.sentence}
      </p>
      <dl class="facts">
        <div>
          <dt>Kind</dt>
          <dd>{text.kindName(alert.kind)}</dd>
        </div>
        <div>
          <dt>Market</dt>
          <dd>
            <a href={text.marketPath(alert.mineral, alert.stage)}>
              {marketName(alert.mineral, alert.stage)}
            </a>
          </dd>
        </div>
        <div>
          <dt>Rule</dt>
          <dd>{alert.rule}</dd>
        </div>
        <div>
          <dt>Buyer</dt>
          <dd>{alert.destination === "" ? "all buyers" : text.destination(alert.destination)}</dd>
        </div>
        <div>
          <dt>{text.metricName(alert.metric)}</dt>
          <dd>{text.interval(alert.metric, alert.value)}</dd>
        </div>
        <div>
          <dt>Previous value</dt>
          <dd>{text.interval(alert.metric, alert.previousValue)}</dd>
        </div>
        <div>
          <dt>Threshold</dt>
          <dd>{text.figure(alert.metric, alert.threshold)}</dd>
        </div>
        <div>
          <dt>Time</dt>
          <dd>{text.minute(alert.eventTime)} UTC</dd>
        </div>
      </dl>
      {alert.contributions.length > 0 && (
        <section>
          <h2>Calculation</h2>
          <Arithmetic
            metric={alert.metric === Metric.UNSPECIFIED ? Metric.HHI : alert.metric}
            parts={alert.contributions}
          />
        </section>
      )}
      <section>
        <h2>Cause</h2>
        <p>Caused by {text.causeName(alert)}.</p>
        {alert.threatEffects.length > 0 && (
          <ul>
            {alert.threatEffects.map((one) => (
              <li>
                <strong>{one.threatId}</strong> of {text.country(one.imposing)}:{" "}
                {text.statusName(one.status)}, weight {one.weight}, {text.scopeName(one.scopeMatch)}{" "}
                match
                {one.reached.length > 0 &&
                  `, applies to ${one.reached.map(text.country).join(", ")}`}
              </li>
            ))}
            {alert.threatEffectsOmitted > 0 && (
              <li>and {text.count(alert.threatEffectsOmitted)} more</li>
            )}
          </ul>
        )}
        <p class="source">
          {report !== undefined && (
            <>
              Report: {report.source} {report.period}, released {report.vintage}.{" "}
            </>
          )}
          Episode {alert.episode.toString()}
          {alert.previousSequence > 0n && (
            <>
              , after{" "}
              <a href={`#/alerts/${alert.previousSequence}`}>
                alert {alert.previousSequence.toString()}
              </a>
            </>
          )}
          . Policy adopted at entry {alert.policyVersion.toString()}.
        </p>
      </section>
    </>
  );
}
