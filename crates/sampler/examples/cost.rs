//! scratch
#![allow(warnings)]
use sampler::tmux::*; use sampler::*; use sampler::proc::*; use std::time::*; use std::sync::Arc;
fn cpu()->Duration{ let t=rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime); Duration::new(t.tv_sec as u64,t.tv_nsec as u32)}
fn child()->u64{ pid_stat::parse(&std::fs::read("/proc/self/stat").unwrap()).unwrap().reaped_ticks*10 }
fn main(){
  let mut kids:Vec<_>=(0..1000).map(|_|std::process::Command::new("sleep").arg("100").spawn().unwrap()).collect();
  std::thread::sleep(Duration::from_millis(500));
  let server=TmuxServer::Path(std::env::args().nth(1).unwrap().into());
  let mut p=ProcTmux::open(TmuxSettings{server, ..Default::default()}).unwrap();
  let mut pids=vec![];
  for _ in 0..5 {
   let c=cpu(); p.pids(&mut pids).unwrap(); let c1=cpu();
   for pid in &pids { p.stat(*pid).unwrap(); } let c2=cpu();
   for pid in &pids { p.io(*pid).unwrap(); } let c3=cpu();
   let ch=child(); for _ in 0..20 { p.sessions().unwrap(); } let c4=cpu(); let ch2=child();
   p.machine().unwrap(); let c5=cpu();
   println!("n {} pids {:?} stat {:?} io {:?} sessions self {:?} child {} ms machine {:?}", pids.len(), c1-c, c2-c1, c3-c2, (c4-c3)/20, (ch2-ch) as f64/20.0, c5-c4);
  }
  for k in &mut kids { k.kill(); k.wait(); }
}
