import { useEffect, useRef, useState } from "preact/hooks";
import { authFailure, errorText, keepToken, policyService, session, unary } from "../api";
import { start } from "../live";

/** Asks for a token and verifies it. */
export function SignInView({ error }: { error: string }) {
  const field = useRef<HTMLInputElement>(null);
  const [shown, setShown] = useState(error);
  const [isBusy, setBusy] = useState(false);
  useEffect(() => field.current?.focus(), []);
  const signIn = async (event: Event) => {
    event.preventDefault();
    const value = field.current?.value.trim() ?? "";
    if (!/^[\x21-\x7e]+$/.test(value))
      return setShown("A token is one line of letters, digits and signs, without spaces.");
    setBusy(true);
    keepToken(value);
    try {
      await policyService.getPolicy({}, unary);
    } catch (failure) {
      const kind = authFailure(failure);
      if (kind !== "role") {
        keepToken("");
        setBusy(false);
        return setShown(kind === "credentials" ? "The token is not valid." : errorText(failure));
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
        <input
          id="token"
          ref={field}
          type="password"
          autocomplete="off"
          spellcheck={false}
          required
          aria-describedby="token-hint"
        />
        <p id="token-hint" class="hint">
          The operator of this server creates tokens with <code>lodewatch token new</code>. The
          browser keeps the token until this tab is closed.
        </p>
        <p class="fault" role="alert">
          {shown}
        </p>
        <button class="primary" disabled={isBusy}>
          Sign in
        </button>
      </form>
    </main>
  );
}
