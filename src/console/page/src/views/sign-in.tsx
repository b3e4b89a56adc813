import { useEffect, useRef, useState } from "preact/hooks";
import { keepToken, policyService, once, session, told, isRefused } from "../api";
import { start } from "../live";

/** Asks for a token, and tries it. */
export function SignInView({ why }: { why: string }) {
  const field = useRef<HTMLInputElement>(null);
  const [fault, tell] = useState(why);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => field.current?.focus(), []);
  const signIn = async (event: Event) => {
    event.preventDefault();
    const value = field.current?.value.trim() ?? "";
    if (!/^[\x21-\x7e]+$/.test(value)) return tell("A token is one line of letters, digits and signs, without spaces.");
    setBusy(true);
    keepToken(value);
    try {
      await policyService.getPolicy({}, once);
    } catch (error) {
      const refused = isRefused(error);
      if (refused !== "role") {
        keepToken("");
        setBusy(false);
        return tell(refused === "unknown" ? "This token is not known." : told(error));
      }
    }
    session.set({ state: "in" });
    start();
  };
  return (
    <main class="sign-in">
      <img src="/icon.svg" alt="" width="48" height="48" />
      <h1 tabIndex={-1}>Lodewatch</h1>
      <form onSubmit={signIn}>
        <label for="token">Token</label>
        <input id="token" ref={field} type="password" autocomplete="off" spellcheck={false} required aria-describedby="token-hint" />
        <p id="token-hint" class="hint">From whoever runs this server: <code>lodewatch token new</code>. It is kept until this tab is closed.</p>
        <p class="fault" role="alert">{fault}</p>
        <button class="primary" disabled={isBusy}>Sign in</button>
      </form>
    </main>
  );
}
