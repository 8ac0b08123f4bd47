// What the page of a test can do: one RTCPeerConnection, driven from outside. Media would need DTLS; ICE does not.
"use strict";

globalThis.ice = {
  open(configuration) {
    const pc = (this.pc = new RTCPeerConnection(configuration));
    this.states = [];
    this.candidates = [];
    this.errors = [];
    this.waiting = [];
    pc.addEventListener("iceconnectionstatechange", () => this.states.push(pc.iceConnectionState));
    pc.addEventListener("icecandidate", ({ candidate }) => {
      // An empty one ends those of a section, and null those of all.
      if (candidate === null || candidate.candidate !== "") this.candidates.push(candidate && candidate.toJSON());
    });
    pc.addEventListener("icecandidateerror", ({ url, errorCode, errorText }) => this.errors.push({ url, errorCode, errorText }));
    for (const name of ["iceconnectionstatechange", "icecandidate"]) pc.addEventListener(name, () => this.look());
  },

  close() {
    this.pc.close();
  },

  look() {
    this.waiting = this.waiting.filter(({ read, resolve }) => {
      const value = read();
      if (value !== undefined) resolve(value);
      return value === undefined;
    });
  },

  // What `read` finds, as soon as it finds something.
  when(read) {
    return new Promise((resolve) => {
      this.waiting.push({ read, resolve });
      this.look();
    });
  },

  // ICE options that the page would not offer by itself.
  async describe(type, sdp, options) {
    this.candidates = [];
    await this.pc.setLocalDescription({ type, sdp: sdp.replace("a=ice-options:trickle", `$& ${options}`.trimEnd()) });
    return this.pc.localDescription.sdp;
  },

  async offer({ restart = false, options = "" } = {}) {
    if (!this.channel) this.channel = this.pc.createDataChannel("data");
    const { sdp } = await this.pc.createOffer({ iceRestart: restart });
    return this.describe("offer", sdp, options);
  },

  async answer(offer, { options = "" } = {}) {
    await this.pc.setRemoteDescription({ type: "offer", sdp: offer });
    const { sdp } = await this.pc.createAnswer();
    return this.describe("answer", sdp, options);
  },

  async accept(answer) {
    await this.pc.setRemoteDescription({ type: "answer", sdp: answer });
  },

  // The local description, once it is complete.
  async gathered() {
    await this.when(() => (this.candidates.includes(null) ? true : undefined));
    return this.pc.localDescription.sdp;
  },

  // The local candidate of that number since the last description, or null where there is none.
  candidate(number) {
    return this.when(() => {
      if (number < this.candidates.length) return this.candidates[number];
      return this.candidates.includes(null) ? null : undefined;
    });
  },

  // A null ends the peer's candidates.
  async add(candidate, ufrag) {
    const line = candidate ?? "";
    await this.pc.addIceCandidate({ candidate: line, sdpMid: "0", sdpMLineIndex: 0, usernameFragment: ufrag });
  },

  // The state, once it is one of these.
  until(...states) {
    return this.when(() => (states.includes(this.pc.iceConnectionState) ? this.pc.iceConnectionState : undefined));
  },

  history() {
    return this.states;
  },

  problems() {
    return this.errors;
  },

  // The selected pair as getStats() shows it, its candidates in the place of their ids; null before there is one.
  async selected() {
    const stats = await this.pc.getStats();
    const transport = [...stats.values()].find(({ type }) => type === "transport");
    const pair = stats.get(transport?.selectedCandidatePairId);
    if (!pair) return null;
    return { ...pair, local: stats.get(pair.localCandidateId), remote: stats.get(pair.remoteCandidateId), transport };
  },
};
