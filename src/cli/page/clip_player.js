'use strict';
// Clips play under the pointer, under the keyboard's focus, when clicked, or all in sight.
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const players = new Set();
let playAll = false;
const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) entry.target.player.update({ inSight: entry.isIntersecting });
});

/** Plays one clip. The video element exists only while it plays: browsers allow few of them. */
class Player {
  constructor(button, clip) {
    this.button = button;
    this.clip = clip;
    this.state = { hovered: false, focused: false, pinned: false, paused: false, inSight: false };
    this.video = null;
    button.player = this;
    button.addEventListener('pointerenter', (event) => {
      if (event.pointerType === 'mouse') this.update({ hovered: true, paused: false });
    });
    button.addEventListener('pointerleave', () => this.update({ hovered: false, paused: false }));
    button.addEventListener('focus', () => this.update({ focused: button.matches(':focus-visible'), paused: false }));
    button.addEventListener('blur', () => this.update({ focused: false }));
    button.addEventListener('click', () => {
      const pinned = !this.state.pinned;
      this.update({ pinned, paused: !pinned });
    });
    sight.observe(button);
    players.add(this);
  }
  update(part) {
    Object.assign(this.state, part);
    const { hovered, focused, pinned, paused, inSight } = this.state;
    const pointed = (hovered || focused) && !calm.matches;
    this.button.setAttribute('aria-pressed', String(pinned));
    if (pinned || (!paused && (pointed || (playAll && inSight)))) this.play();
    else this.stop();
  }
  play() {
    if (this.video) return;
    const video = make('video', { playsinline: '', 'aria-hidden': 'true', tabindex: '-1' });
    video.muted = true;
    video.loop = true;
    video.src = 'media/' + this.clip + '.mp4';
    video.addEventListener('playing', () => this.button.classList.add('playing'));
    video.addEventListener('error', () => {
      if (this.video !== video) return;
      this.stop();
      if (!this.button.querySelector('.say')) this.button.append(make('span', { class: 'say' }, 'cannot be played here'));
    });
    this.video = video;
    this.button.append(video);
    video.play().catch(() => {});
  }
  stop() {
    if (!this.video) return;
    const video = this.video;
    this.video = null;
    this.button.classList.remove('playing');
    video.pause();
    video.removeAttribute('src');
    video.load();
    video.remove();
  }
  leave() {
    this.stop();
    sight.unobserve(this.button);
    players.delete(this);
  }
}
