import { describe, expect, it } from 'vitest';
import { credential, headers, hold, plausible, protocols } from '../src/net/credential';

describe('a credential', () => {
  it('goes with requests and sockets while it is held, without a storage too', () => {
    expect([credential(), headers(), protocols()]).toEqual([null, {}, []]);
    hold('gsk_abc');
    expect(headers()).toEqual({ authorization: 'Bearer gsk_abc' });
    expect(protocols()).toEqual(['groundswell', 'bearer.gsk_abc']);
    hold(null);
    expect([credential(), headers(), protocols()]).toEqual([null, {}, []]);
  });
  it('is a key or a token', () => {
    expect(['gsk_a-b_c', 'eyJ.eyJ.x-y_z', ''].map(plausible)).toEqual([true, true, false]);
    expect(['a b', 'a,b', 'é', 'a\n', 'x'.repeat(9000)].map(plausible)).toEqual([false, false, false, false, false]);
  });
});
