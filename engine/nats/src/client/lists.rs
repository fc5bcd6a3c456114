//! Lists of runs, asked of the owners of partitions a page at a time.

use futures_util::{StreamExt, TryStreamExt, stream};
use stead_runtime::inbound::ListReply;
use stead_runtime::page::{fitting, page};
use stead_schemas::dispatch::ListRuns;
use stead_schemas::ids::{EntityKey, Partition};
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunPage, RunSummary};

use super::{ClientError, SteadClient};
use crate::bus::json;

/// How many partitions are asked at a time for a page of them all.
const AHEAD: usize = 8;

impl SteadClient {
    /// All runs there are, partition by partition.
    ///
    /// # Errors
    /// If a partition has no owner.
    pub async fn list_all(&self) -> Result<Vec<RunSummary>, ClientError> {
        self.list_like(&ListRuns::default()).await
    }

    /// All runs of a kind, of one owner or of all.
    ///
    /// # Errors
    /// If a partition has no owner.
    pub async fn list_kind(
        &self,
        kind: &str,
        owner: Option<&Owner>,
    ) -> Result<Vec<RunSummary>, ClientError> {
        let (kind, owner) = (Some(kind.to_owned()), owner.cloned());
        self.list_like(&ListRuns { kind, owner, ..ListRuns::default() }).await
    }

    /// All runs that a question asks for.
    ///
    /// # Errors
    /// If a partition has no owner.
    pub async fn list_like(&self, query: &ListRuns) -> Result<Vec<RunSummary>, ClientError> {
        let all = self.platform.all_partitions();
        let lists = all.map(|partition| self.list_of(partition, query.clone()));
        let mut all = Vec::new();
        for list in futures_util::future::join_all(lists).await {
            all.extend(list?);
        }
        Ok(all)
    }

    /// All lives of an entity that are known, oldest first.
    ///
    /// # Errors
    /// If its partition has no owner.
    pub async fn lives(&self, key: &EntityKey) -> Result<Vec<RunSummary>, ClientError> {
        let query = ListRuns { entity: Some(key.clone()), ..ListRuns::default() };
        self.lives_like(key, query).await
    }

    /// The latest life of an entity, if it has had one.
    ///
    /// # Errors
    /// If its partition has no owner.
    pub async fn latest(&self, key: &EntityKey) -> Result<Option<RunSummary>, ClientError> {
        let query = ListRuns { entity: Some(key.clone()), latest: true, ..ListRuns::default() };
        Ok(self.lives_like(key, query).await?.pop())
    }

    async fn lives_like(
        &self,
        key: &EntityKey,
        query: ListRuns,
    ) -> Result<Vec<RunSummary>, ClientError> {
        let mut lives = self.list_of(key.partition(self.platform.partitions), query).await?;
        lives.sort_by_key(|line| line.run.life());
        Ok(lives)
    }

    /// The runs of one partition that do not go on by themselves.
    ///
    /// # Errors
    /// If it has no owner.
    pub(crate) async fn held_up(
        &self,
        partition: Partition,
    ) -> Result<Vec<RunSummary>, ClientError> {
        self.list_of(partition, ListRuns { held_up: true, ..ListRuns::default() }).await
    }

    /// A page of the runs that a question asks for, wherever they are: partition by partition, in
    /// each in the order of their ids. The last one of a page tells where the next begins.
    pub(crate) async fn page(&self, query: &ListRuns) -> Result<RunPage, ClientError> {
        let begun = query.after.as_ref().map_or(Partition(0), |run| self.home(run));
        let partitions = self.platform.all_partitions().filter(|partition| *partition >= begun);
        let asked = partitions.map(|partition| {
            let after = query.after.clone().filter(|_| partition == begun);
            self.some_of(partition, ListRuns { after, ..query.clone() })
        });
        let mut pages = stream::iter(asked).buffered(AHEAD);
        let mut lines = Vec::new();
        while fitting(&lines) == lines.len() {
            let Some(found) = pages.try_next().await? else { break };
            lines.extend(found);
        }
        Ok(page(lines))
    }

    /// Those of a partition; more than a page has if there are more.
    async fn some_of(
        &self,
        partition: Partition,
        query: ListRuns,
    ) -> Result<Vec<RunSummary>, ClientError> {
        self.list_while(partition, query, |lines| fitting(lines) == lines.len()).await
    }

    async fn list_of(
        &self,
        partition: Partition,
        query: ListRuns,
    ) -> Result<Vec<RunSummary>, ClientError> {
        self.list_while(partition, query, |_| true).await
    }

    /// Those of a partition, a page at a time, for as long as more are wanted.
    async fn list_while(
        &self,
        partition: Partition,
        mut query: ListRuns,
        is_room: impl Fn(&[RunSummary]) -> bool,
    ) -> Result<Vec<RunSummary>, ClientError> {
        let mut all = Vec::new();
        loop {
            let page: ListReply = self.ask(partition, "list", json(&query)).await?;
            let last = || page.lines.last().map(|line| line.run.clone());
            query.after = page.upto.clone().or_else(last).or(query.after);
            all.extend(page.lines.into_iter().filter(|line| query.wants(line)));
            if !page.more || !is_room(&all) {
                return Ok(all);
            }
        }
    }
}
