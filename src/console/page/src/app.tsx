// The frame of every view: navigation, destination, connection, sign-in.

import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { keepToken, session, token } from "./api";
import { chooseDestination, destination, journalUnreachable, links, policy, start } from "./live";
import { LinkState } from "./parts/link";
import { useRoute } from "./route";
import { use } from "./store";
import { country, countryCodes, destination as buyerName } from "./text";
import { AlertView } from "./views/alert";
import { AlertsView } from "./views/alerts";
import { BoardView } from "./views/board";
import { MarketView } from "./views/market";
import { SignInView } from "./views/sign-in";
import { ThreatsView } from "./views/threats";
import { SimulationView } from "./views/simulation";

const views = [
  { name: "Board", path: "#/", view: "board", needs: "read" },
  { name: "Alerts", path: "#/alerts", view: "alerts", needs: "read" },
  { name: "Threats", path: "#/threats", view: "threats", needs: "sign-in" },
  { name: "What if", path: "#/simulation", view: "simulation", needs: "read" },
] as const;

function App() {
  const now = use(session);
  const route = useRoute();
  const main = useRef<HTMLElement>(null);
  const mayRead = use(links.markets).state !== "denied";
  useEffect(
    () => main.current?.querySelector("h1")?.focus({ preventScroll: true }),
    [route.path, now.state],
  );
  if (now.state === "out") return <SignInView error={now.error} />;
  return (
    <>
      <button class="skip" onClick={() => main.current?.querySelector("h1")?.focus()}>
        Skip to content
      </button>
      <header class="top">
        <a class="brand" href="#/">
          <img src="/icon.svg" alt="" width="26" height="26" />
          Lodewatch
        </a>
        <nav aria-label="Views">
          {views
            .filter((one) => mayRead || one.needs === "sign-in")
            .map((one) => (
              <a href={one.path} aria-current={one.view === route.view ? "page" : undefined}>
                {one.name}
              </a>
            ))}
        </nav>
        <div class="state">
          {mayRead && <Destination />}
          <LinkState />
          {token() !== "" && (
            <button class="quiet" onClick={signOut}>
              Sign out
            </button>
          )}
        </div>
      </header>
      {use(journalUnreachable) && (
        <p class="banner" role="alert">
          The server cannot reach its journal: this page may be out of date. No alert is lost.
        </p>
      )}
      <main ref={main} id="main">
        {mayRead || route.view === "threats" ? <View /> : <Denied />}
      </main>
    </>
  );
}

function View() {
  const route = useRoute();
  switch (route.view) {
    case "board":
      return <BoardView />;
    case "market":
      return <MarketView mineral={route.mineral} stage={route.stage} key={route.path} />;
    case "alerts":
      return <AlertsView />;
    case "alert":
      return <AlertView sequence={route.sequence} key={route.path} />;
    case "threats":
      return <ThreatsView />;
    case "simulation":
      return <SimulationView />;
    case "unknown":
      return (
        <>
          <h1 tabIndex={-1}>Page not found</h1>
          <p>
            <a href="#/">Go to the board</a>
          </p>
        </>
      );
  }
}

function Denied() {
  return (
    <>
      <h1 tabIndex={-1}>This token may not read markets and alerts</h1>
      <p>
        Its role is publisher. Markets and alerts need the role subscriber or operator. It may read{" "}
        <a href="#/threats">threats</a>.
      </p>
    </>
  );
}

/** The choice of a destination: first those of the rules, then every bloc and country. */
function Destination() {
  const chosen = use(destination);
  const current = use(policy);
  const inRules = new Set([
    "all",
    ...(current?.rules ?? []).flatMap((rule) => rule.destinations),
    "any",
  ]);
  const blocs = (current?.blocs ?? [])
    .map((bloc) => bloc.name)
    .filter((name) => !inRules.has(name));
  return (
    <label class="for">
      <span>Buyer</span>
      <select value={chosen} onChange={(event) => chooseDestination(event.currentTarget.value)}>
        <optgroup label="In the rules">
          {[...inRules].map((name) => (
            <option value={name}>{buyerName(name)}</option>
          ))}
        </optgroup>
        {blocs.length > 0 && (
          <optgroup label="Blocs">
            {blocs.map((name) => (
              <option value={name}>{name}</option>
            ))}
          </optgroup>
        )}
        <optgroup label="Countries">
          {countryCodes
            .filter((code) => !inRules.has(code))
            .map((code) => (
              <option value={code}>{country(code)}</option>
            ))}
        </optgroup>
      </select>
    </label>
  );
}

function signOut(): void {
  keepToken("");
  session.set({ state: "out", error: "" });
}

start();
render(<App />, document.body);
