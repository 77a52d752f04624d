// One tick for all relative times on the page.
class Clock {
  now = $state(Date.now());
  constructor() {
    setInterval(() => {
      if (!document.hidden) this.now = Date.now();
    }, 5000);
  }
}
export const clock = new Clock();
