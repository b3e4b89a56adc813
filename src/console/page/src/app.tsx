// The frame: who is signed in, where one is, how the connection is.

import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { keepToken, session, token } from "./api";
import { destination, choose, links, outOfReach, policy, start } from "./live";
import { LinkState } from "./parts/link";
import { useRoute } from "./route";
import { use } from "./store";
import { country, countryCodes } from "./text";
import { AlertView } from "./views/alert";
import { AlertsView } from "./views/alerts";
import { BoardView } from "./views/board";
import { MarketView } from "./views/market";
import { SignInView } from "./views/sign-in";
import { ThreatsView } from "./views/threats";
import { WhatIfView } from "./views/what-if";

const places = [
  { name: "Board", path: "#/", view: "board", needs: "read" },
  { name: "Alerts", path: "#/alerts", view: "alerts", needs: "read" },
  { name: "Threats", path: "#/threats", view: "threats", needs: "known" },
  { name: "What if", path: "#/what-if", view: "what-if", needs: "read" },
] as const;

function App() {
  const now = use(session);
  const route = useRoute();
  const main = useRef<HTMLElement>(null);
  const isRead = use(links.markets).state !== "denied";
  useEffect(() => main.current?.querySelector("h1")?.focus({ preventScroll: true }), [route.path, now.state]);
  if (now.state === "out") return <SignInView why={now.why} />;
  return (
    <>
      <button class="skip" onClick={() => main.current?.querySelector("h1")?.focus()}>Skip to content</button>
      <header class="top">
        <a class="brand" href="#/"><img src="/icon.svg" alt="" width="26" height="26" />Lodewatch</a>
        <nav aria-label="Views">
          {places.filter((place) => isRead || place.needs === "known").map((place) => (
            <a href={place.path} aria-current={place.view === route.place ? "page" : undefined}>{place.name}</a>
          ))}
        </nav>
        <div class="state">
          {isRead && <Destination />}
          <LinkState />
          {token() !== "" && <button class="quiet" onClick={signOut}>Sign out</button>}
        </div>
      </header>
      {use(outOfReach) && <p class="banner" role="alert">The server cannot reach its journal: what is shown may be behind. Nothing is missed.</p>}
      <main ref={main} id="main">{isRead || route.place === "threats" ? <View /> : <Denied />}</main>
    </>
  );
}

function View() {
  const route = useRoute();
  switch (route.place) {
    case "board": return <BoardView />;
    case "market": return <MarketView mineral={route.mineral} stage={route.stage} key={route.path} />;
    case "alerts": return <AlertsView />;
    case "alert": return <AlertView sequence={route.sequence} key={route.path} />;
    case "threats": return <ThreatsView />;
    case "what-if": return <WhatIfView />;
    case "nowhere": return <><h1 tabIndex={-1}>There is nothing here</h1><p><a href="#/">To the board</a></p></>;
  }
}

function Denied() {
  return (
    <>
      <h1 tabIndex={-1}>This token may not read markets and alerts</h1>
      <p>It has the role of a publisher. Markets and alerts need the role subscriber or operator; <a href="#/threats">threats</a> can be read.</p>
    </>
  );
}

/** For whom: those that the rules speak of first, then every bloc and country. */
function Destination() {
  const chosen = use(destination);
  const known = use(policy);
  const ruled = new Set(["all", ...(known?.rules ?? []).flatMap((rule) => rule.destinations), "any"]);
  const blocs = (known?.blocs ?? []).map((bloc) => bloc.name).filter((name) => !ruled.has(name));
  const label = (name: string) => name === "all" ? "everyone" : name === "any" ? "anyone" : country(name);
  return (
    <label class="for">
      <span>For</span>
      <select value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
        <optgroup label="In the rules">{[...ruled].map((name) => <option value={name}>{label(name)}</option>)}</optgroup>
        {blocs.length > 0 && <optgroup label="Blocs">{blocs.map((name) => <option value={name}>{name}</option>)}</optgroup>}
        <optgroup label="Countries">
          {countryCodes.filter((code) => !ruled.has(code)).map((code) => <option value={code}>{country(code)}</option>)}
        </optgroup>
      </select>
    </label>
  );
}

function signOut(): void {
  keepToken("");
  session.set({ state: "out", why: "" });
}

start();
render(<App />, document.body);
