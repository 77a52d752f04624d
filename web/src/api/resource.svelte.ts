// One thing that is read from the API and shown: its value, or what went wrong.
import { Fault } from "./client";

export class Resource<T> {
  value = $state.raw<T | undefined>();
  fault = $state<Fault | undefined>();
  loading = $state(true);
  private turn = 0;

  constructor(private read: () => Promise<T>) {
    void this.again();
  }

  async again(): Promise<void> {
    const turn = ++this.turn;
    this.loading = true;
    try {
      const value = await this.read();
      if (turn !== this.turn) return;
      this.value = value;
      this.fault = undefined;
    } catch (e) {
      if (turn !== this.turn) return;
      this.fault = e instanceof Fault ? e : new Fault(0, "", e instanceof Error ? e.message : String(e));
    } finally {
      if (turn === this.turn) this.loading = false;
    }
  }
}
