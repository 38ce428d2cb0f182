import { useState } from 'preact/hooks';
import { plausible } from '../net/credential';

/** Asks for an API key or a token; `why` says what was wrong with the last one. */
export function SignIn({ why, signIn }: { why: string; signIn: (key: string) => void }) {
  const [odd, setOdd] = useState('');
  const said = odd || why;
  return (
    <form
      class="panel sign-in"
      aria-labelledby="sign-in-title"
      onSubmit={(e) => {
        e.preventDefault();
        const key = String(new FormData(e.currentTarget).get('key') ?? '').trim();
        if (!plausible(key)) setOdd('That is neither a key nor a token.');
        else signIn(key);
      }}
    >
      <h2 id="sign-in-title">This engine wants to know who asks</h2>
      <label for="key">API key or token</label>
      <input id="key" name="key" type="password" autocomplete="off" spellcheck={false} required autofocus aria-describedby="sign-in-help sign-in-why" />
      <p id="sign-in-help">It stays in this tab until you close it. “groundswell key” makes one.</p>
      <p id="sign-in-why" role="alert" class="why">
        {said}
      </p>
      <button type="submit">Sign in</button>
    </form>
  );
}
