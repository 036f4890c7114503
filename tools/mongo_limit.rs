// What `make mongo` adds to SecantusDB's Rust server (tools/mongo_limit.py): a read that takes so many rows, and whose
// plan is a walk of one index, ends where it has them. As it is published it collects all rows of the walk first.
//
// A line "//@ <crate> <file> <line>" says before which line of which file the lines below it go.

//@ secantus-commands src/storage.rs     /// Whether some document gives the index an array to index.
    /// The first `wanted` documents that match `filter`, of those whose entries in `index` lie from the first key of
    /// `span` on and before the second, in the order of the entries, or backward. Without a filter documents are not
    /// read, and are empty. `None`: this store does not walk so.
    #[allow(clippy::too_many_arguments)]
    fn first_rows(
        &self,
        _db: &str,
        _coll: &str,
        _index: &str,
        _span: (&[u8], &[u8]),
        _backward: bool,
        _filter: Option<&Document>,
        _vars: &Document,
        _wanted: usize,
    ) -> Result<Option<Vec<(i64, Vec<u8>)>>, StorageError> {
        Ok(None)
    }

//@ secantus-storage-adapter src/lib.rs     fn collection_count_at_most(
    fn first_rows(
        &self,
        db: &str,
        coll: &str,
        index: &str,
        span: (&[u8], &[u8]),
        backward: bool,
        filter: Option<&Document>,
        vars: &Document,
        wanted: usize,
    ) -> Result<Option<Vec<(i64, Vec<u8>)>>, StorageError> {
        let found = self.inner.first_rows(db, coll, index, span, backward, filter, vars, wanted);
        found.map_err(map_err)
    }

//@ secantus-storage src/lib.rs     pub fn find_matching(&self, db: &str, coll: &str, filter: &Document) -> Result<Vec<Vec<u8>>> {
    /// The first `wanted` documents that match `filter`, of those whose entries in `index` lie from the first key of
    /// `span` on and before the second, in the order of the entries, or backward. Without a filter documents are not
    /// read, and are empty. `None` for a collection whose order is its own.
    #[allow(clippy::too_many_arguments)]
    pub fn first_rows(
        &self,
        db: &str,
        coll: &str,
        index: &str,
        span: (&[u8], &[u8]),
        backward: bool,
        filter: Option<&Document>,
        vars: &Document,
        wanted: usize,
    ) -> Result<Option<Vec<(i64, Vec<u8>)>>> {
        if self.is_oplog_rs(db, coll) || overlay_for(db, coll).is_some() {
            return Ok(None);
        }
        self.with_ddl_generation_check(|| {
            let session = self.op_session()?;
            if self.is_timeseries(&session, db, coll)? || is_clustered(&session, db, coll)? {
                return Ok(None);
            }
            // Entries and documents of one moment, where no transaction sees to that.
            let alone = !self.in_user_txn();
            if alone {
                session.begin_transaction(None)?;
            }
            let found = walk_span(&session, db, coll, index, span, backward, filter, vars, wanted);
            if alone {
                session.rollback_transaction(None)?;
            }
            found.map(Some)
        })
    }

//@ secantus-storage src/lib.rs /// The collection's default collation, when it has one that is not `simple`.
#[allow(clippy::too_many_arguments)]
fn walk_span(
    session: &Session,
    db: &str,
    coll: &str,
    index: &str,
    (first, end): (&[u8], &[u8]),
    backward: bool,
    filter: Option<&Document>,
    vars: &Document,
    wanted: usize,
) -> Result<Vec<(i64, Vec<u8>)>> {
    let sets = secantus_core::query::InSets::prepare(filter.unwrap_or(&Document::new()));
    let _sets = secantus_core::query::InSetsGuard::install(&sets);
    let mut found = Vec::new();
    let documents = match session.open_cursor(&doc_table_for(db, coll), None) {
        Err(error) if error.is_missing_table() => return Ok(found),
        opened => opened?,
    };
    let entries = session.open_cursor(IDX_ENTRIES_TABLE, None)?;
    entries.set_key_sssu(db, coll, index, if backward { end } else { first });
    let mut more = match entries.search_near() {
        Ok(met) if backward => met < 0 || entries.prev()?,
        Ok(met) => met >= 0 || entries.next()?,
        Err(error) if error.is_not_found() => false,
        Err(error) => return Err(error.into()),
    };
    while more && found.len() < wanted {
        deadline::check().map_err(|_| StorageError::MaxTimeExpired)?;
        let within = entries.with_key_sssu(|in_db, in_coll, in_index, entry| {
            let (key, row) = unpack_entry(entry);
            let ours = in_db == db.as_bytes() && in_coll == coll.as_bytes() && in_index == index.as_bytes();
            (ours && key >= first && key < end).then_some(row)
        })?;
        let Some(row) = within else { break };
        if let (Some(row), None) = (row, filter) {
            found.push((row, vec![5, 0, 0, 0, 0]));
        } else if let (Some(row), Some(filter)) = (row, filter) {
            documents.set_key_ssq(db, coll, row);
            match documents.search() {
                Ok(()) => {
                    let value = documents.get_value_u()?;
                    let (_, document) = unframe_doc_value(&value)?;
                    let raw = bson::RawDocument::from_bytes(document).map_err(|_| StorageError::QueryUnsupported)?;
                    if secantus_core::query::matches_raw(raw, filter, vars, None).map_err(query_fault)? {
                        found.push((row, document.to_vec()));
                    }
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        more = if backward { entries.prev()? } else { entries.next()? };
    }
    Ok(found)
}

//@ secantus-commands src/explain/order.rs     let Some(matched) = storage.matching_rows(
    if near.is_none() && hinted_geo.is_none() {
        if let Some(rows) = first_rows(storage, ask, false)? {
            return Ok(Some(rows));
        }
    }

//@ secantus-commands src/explain/order.rs /// Whether a sort is one the planner reads: every key a field, every value
/// What `find` does for a pipeline that takes so many documents first; `unread`: no stage asks for a field of them.
pub(crate) fn first_of_pipeline(storage: &dyn Storage, ask: &Ask, unread: bool) -> Result<Vec<Vec<u8>>, StorageError> {
    match if unread { first_rows(storage, ask, true)? } else { None } {
        Some(rows) => Ok(rows.into_iter().map(|(_, document)| document).collect()),
        None => find(storage, ask),
    }
}

/// As many rows as `ask` takes, where its plan is a walk of one index: then the walk is in the order of the sort, and
/// need go no further. `unread`: by the keys alone, with empty documents. `None`: it is another plan, or a walk that
/// `span` does not know, or one whose keys do not tell all.
fn first_rows(storage: &dyn Storage, ask: &Ask, unread: bool) -> Result<Option<Rows>, StorageError> {
    // Of chosen values each is looked up: planning that would cost more than it saves.
    let chosen = |test: &Bson| test.as_document().is_some_and(|test| test.contains_key("$in"));
    if ask.limit <= 0 || ask.hint.is_some() || ask.collation.is_some() || ask.filter.values().any(chosen) {
        return Ok(None);
    }
    let catalog = catalog(storage, ask.db, ask.coll, None)?;
    let canonical = parsed::parsed_query(ask.filter);
    let query = Query {
        canonical: &canonical,
        sort: ask.sort,
        limit: ask.limit,
        hint: super::plan::Hint::None,
        implies: &|partial: &Document| storage.query_implies_partial(ask.filter, partial),
        projection: None,
        skip: 0,
        collation: None,
        min_max: false,
        return_key: false,
        show_record_id: false,
        batch_size: false,
        keys_only: false,
        wanted: None,
        pipeline: false,
        trial: None,
    };
    let plan = plan::plan(&query, &catalog);
    let Node::Fetch { input, filter } = access(&plan) else {
        return Ok(None);
    };
    let Node::IxScan(scan) = access(input) else {
        return Ok(None);
    };
    if unread && (filter.is_some() || scan.filter.is_some() || !plain_keys(scan)) {
        return Ok(None);
    }
    let Some((first, end)) = span(scan, unread) else {
        return Ok(None);
    };
    let (index, span, wanted) = (&scan.index.name, (&first[..], &end[..]), ask.limit as usize);
    let tested = (!unread).then_some(ask.filter);
    storage.first_rows(ask.db, ask.coll, index, span, scan.backward, tested, ask.vars, wanted)
}

/// Whether the keys within a scan are those of the documents that fit: columns of one value each, then one range, and
/// nothing asked of the columns behind; no numbers, of which different ones may have the same key.
fn plain_keys(scan: &super::node::IxScan) -> bool {
    let mut columns = scan.bounds.iter().skip_while(|column| column.len() == 1 && column[0].is_point());
    columns.next();
    columns.all(|column| column.len() == 1 && column[0].is_all())
        && scan.bounds.iter().flatten().all(|each| {
            [&each.lo, &each.hi].into_iter().all(|end| {
                !matches!(end, Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_))
            })
        })
}

/// Where the entries of a scan begin, and the key before which they end: columns of one value each, then what is
/// between two values of the next, these included unless it is to be `exact`. What is asked of the columns behind is
/// left out. `None` where entries are not in the order of their documents, or a document has several of them there.
fn span(scan: &super::node::IxScan, exact: bool) -> Option<(Vec<u8>, Vec<u8>)> {
    let index = &scan.index;
    let ascends = index.key.values().all(|way| crate::util::as_i64(way) == Some(1));
    if index.name == "_id_" || !index.plain || !ascends || index.collation.is_some() || scan.no_bounds {
        return None;
    }
    // In an index, zeros of a key are followed by 0xff; two of them stand between columns, and before the row's number.
    let stored = |key: &[u8]| -> Vec<u8> {
        let zero: &[u8] = &[0, 0xff];
        key.iter().flat_map(|byte| if *byte == 0 { zero } else { std::slice::from_ref(byte) }).copied().collect()
    };
    let mut key = Vec::new();
    for (at, column) in scan.bounds.iter().enumerate() {
        let [only] = column.as_slice() else { return None };
        let single = match only.lo {
            Bson::Array(_) | Bson::Document(_) | Bson::RegularExpression(_) | Bson::Undefined => return None,
            Bson::Null if index.is_multikey() => return None,
            _ => only.is_point(),
        };
        let last = at + 1 == scan.bounds.len();
        if single && !last {
            key.extend(secantus_core::sortkey::encode_value(&only.lo, None).ok()?);
            key.extend([0, 0]);
            continue;
        }
        let several = index.multikey_paths.iter().skip(if single { at + 1 } else { at });
        if several.into_iter().any(|path| !path.is_empty()) {
            return None;
        }
        // Before all entries of a value, or behind them: there two zeros follow on it, those of the row's number or
        // stored ones.
        let bound = |value: &Bson, behind: bool| -> Option<Vec<u8>> {
            let encoded = secantus_core::sortkey::encode_value(value, None).ok()?;
            let mut bound = stored(&[key.as_slice(), encoded.as_slice()].concat());
            if behind {
                bound.extend_from_slice(if last { &[0, 1] } else { &[0, 0xff, 0, 0xff, 0xff] });
            }
            Some(bound)
        };
        return Some((bound(&only.lo, exact && !only.lo_incl)?, bound(&only.hi, !exact || only.hi_incl)?));
    }
    None
}

//@ secantus-commands src/aggregate.rs                     None => read(None, 0),
                    None if first_limit(&rest) > 0 => crate::explain::order::first_of_pipeline(
                        storage,
                        &crate::explain::order::Ask {
                            db: &ctx.db_name,
                            coll: c,
                            filter: &filter,
                            sort: None,
                            hint,
                            collation: collation.as_ref(),
                            vars: &vars,
                            limit: first_limit(&rest),
                            asked: Default::default(),
                        },
                        secantus_core::pipeline_prefix_fields(&rest).is_some_and(|fields| fields.is_empty()),
                    ),

//@ secantus-commands src/aggregate.rs fn leading_sort(rest: &[Bson], nothing_lifted: bool) -> LeadingSort {
/// How many documents a pipeline takes that begins with a `$limit`; 0 is all of them.
fn first_limit(rest: &[Bson]) -> i64 {
    let first = rest.first().and_then(Bson::as_document).filter(|stage| stage.len() == 1);
    first.and_then(|stage| stage.get("$limit")).and_then(as_i64).unwrap_or(0)
}

