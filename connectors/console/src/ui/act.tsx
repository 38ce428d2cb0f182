import { useEffect, useRef, useState } from 'preact/hooks';

/** What an operator did last here, and what came of it. */
export interface Done {
  words: string;
  bad: boolean;
}

/** Runs one thing at a time and says what came of it. */
export function useAct(after: () => void): { busy: boolean; done: Done | null; act: (what: () => Promise<string>) => void } {
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState<Done | null>(null);
  const act = (what: () => Promise<string>) => {
    if (busy) return;
    setBusy(true);
    setDone(null);
    what()
      .then(
        (words) => setDone({ words, bad: false }),
        (e: unknown) => setDone({ words: e instanceof Error ? e.message : String(e), bad: true }),
      )
      .finally(() => {
        setBusy(false);
        after();
      });
  };
  return { busy, done, act };
}

/** Says it, also to those who listen. */
export function Said({ done }: { done: Done | null }) {
  return (
    <p class={`said ${done?.bad ? 'bad' : ''}`} role="status">
      {done?.words ?? ''}
    </p>
  );
}

interface ConfirmProps {
  label: string;
  /** Whom or what it is about, for those who listen. */
  about: string;
  question: string;
  yes: string;
  disabled?: boolean;
  run: () => void;
}

/** A button that asks once more before it does something that everybody notices. */
export function Confirm({ label, about, question, yes, disabled = false, run }: ConfirmProps) {
  const [asking, setAsking] = useState(false);
  const confirm = useRef<HTMLButtonElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const asked = useRef(false);
  // The button that had the focus is gone: it goes to what took its place.
  useEffect(() => {
    if (asking) confirm.current?.focus();
    else if (asked.current) opener.current?.focus();
    asked.current = asking;
  }, [asking]);
  if (!asking) {
    return (
      <button ref={opener} type="button" class="small" disabled={disabled} onClick={() => setAsking(true)}>
        {label}
        <span class="sr-only"> {about}</span>
      </button>
    );
  }
  return (
    <span class="confirm" role="group" aria-label={question} onKeyDown={(e) => e.key === 'Escape' && setAsking(false)}>
      <span>{question}</span>
      <button
        type="button"
        class="small danger"
        ref={confirm}
        disabled={disabled}
        onClick={() => {
          setAsking(false);
          run();
        }}
      >
        {yes}
      </button>
      <button type="button" class="small" onClick={() => setAsking(false)}>
        Cancel
      </button>
    </span>
  );
}
